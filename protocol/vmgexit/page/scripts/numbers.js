// Single values: numbers, and bytes in memory order. As read/numbers.py has them.

const DIGITS = 16; // hex digits of the longest number; longer ones are bytes
const WORD = 8; // bytes of the largest structure that a number fills

const _SUFFIX = "(?:_?[ui](?:8|16|32|64)|[uUlL]{1,3})?";
const _PREFIXED = `0[xX]([0-9a-fA-F]+(?:[_\`][0-9a-fA-F]+)*)${_SUFFIX}`;
const _BARE = "[0-9a-fA-F]+(?:[_`][0-9a-fA-F]+)*";
const _DECIMAL = `(?:0|[1-9][0-9]*(?:_[0-9]+)*)${_SUFFIX}`;
const _IS_PREFIXED = whole(_PREFIXED);
const _IS_BARE = whole(_BARE);
const _IS_DECIMAL = whole(_DECIMAL);
const _IS_BINARY = whole("0[bB][01]+(?:_[01]+)*");
const _IS_OCTAL = whole("0[oO][0-7]+(?:_[0-7]+)*");
const _IS_MANUALS = whole("(?=.*[0-9])([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)[hH]");
const _IS_NEGATIVE = whole(`-(?:${_PREFIXED}|${_DECIMAL})`);
const _SEPARATORS = pattern("[\\s,;]+");

const _digits = (text) => text.replace(/[_`]/g, "");

function _whole(digits) {
  if (digits.length % 2) {
    throw new DecodeError(`${digits.length} hex digits found, an even number expected`);
  }
  return unhexed(digits);
}

function understood(kind, data, written, isDecimal = false) {
  return { kind, data, written, isDecimal };
}

/** `the number 0x100`, `4 bytes in memory order`. */
function saidOf(value) {
  if (value.kind === "bytes") return `${countOf(value.data.length, "byte")} in memory order`;
  const number = numberOf(value.data);
  return `the number ${shown(number)}${value.isDecimal ? ` (${number})` : ""}`;
}

/** A token by the rule: 0x and digits, or bare hex digits. */
function tokenOf(text) {
  const match = _IS_PREFIXED.exec(text);
  if (match) {
    const digits = _digits(match[1]);
    if (digits.length > DIGITS) return understood("bytes", _whole(digits), text);
    const even = digits.padStart(digits.length + (digits.length % 2), "0");
    return understood("number", reversed(unhexed(even)), text);
  }
  if (_IS_BARE.test(text)) return understood("bytes", _whole(_digits(text)), text);
  throw new DecodeError(`${brief(text)} found, 0x and hex digits or bare hex digits expected`);
}

/** A number where one is asked for: 0x100, 100h, 256, 0b101, 0o17. */
function numberIn(text) {
  text = trimmed(text);
  if (/^0[xX]/.test(text)) return tokenOf(text);
  const manuals = _IS_MANUALS.exec(text);
  if (manuals) return { ...tokenOf(`0x${manuals[1]}`), written: text };
  if (_IS_DECIMAL.test(text)) return _decimal(BigInt(text.split(/[uilUL]/)[0].replace(/_/g, "")), text);
  if (_IS_BINARY.test(text) || _IS_OCTAL.test(text)) {
    return _decimal(BigInt(text.toLowerCase().replace(/_/g, "")), text);
  }
  if (_IS_BARE.test(text)) {
    throw new DecodeError(
      `${brief(text)} found, a number expected: 0x${text.replace(/^0+/, "") || "0"} if it is one in hex;` +
        ` --hex ${brief(text).slice(1, -1)} if it is bytes in memory order`,
    );
  }
  if (_IS_NEGATIVE.test(text)) {
    throw new DecodeError(`${brief(text)} found, a number that is not negative expected`);
  }
  throw new DecodeError(`${brief(text)} found, a number expected: decimal, or 0x and hex digits`);
}

function _decimal(value, text) {
  const size = Math.max(1, Math.ceil(bitLength(value) / 8));
  return understood("number", bytesOf(value, size), text, true);
}

/** All tokens of a text, if it is nothing but tokens; else null. */
function tokensOf(text) {
  const found = [];
  for (const part of trimmed(text).split(_SEPARATORS).filter(Boolean)) {
    try {
      found.push(tokenOf(part));
    } catch (error) {
      if (error instanceof DecodeError) return null;
      throw error;
    }
  }
  return found;
}

/** The bytes of a structure of `size` bytes that a value is. */
function sized(value, size) {
  if (value.kind === "bytes" || size > WORD) return value.data;
  if (value.data.slice(size).some(Boolean)) {
    throw new DecodeError(
      `the number ${shown(numberOf(value.data))} found, ${countOf(size, "byte")} expected:` +
        ` at most ${shown((1n << BigInt(8 * size)) - 1n)}`,
    );
  }
  const data = new Uint8Array(size);
  data.set(value.data.slice(0, size));
  return data;
}

/** The other reading of the same digits; null where there is none. */
function otherReading(value) {
  if (value.isDecimal || value.data.length > WORD) return null;
  return { ...value, kind: value.kind === "number" ? "bytes" : "number", data: reversed(value.data) };
}
