// Text as Python's standard library has it: blanks, lines, quotes; bytes; the one kind of error.

/** What a person pasted or typed that cannot be read. Its message is one line. */
class DecodeError extends Error {}

// Python counts some control characters as blanks, and not the byte order mark.
const BLANKS = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** A regular expression in which \s and \S are Python's. */
function pattern(source, flags = "") {
  let inClass = false;
  const told = source.replace(/\\[^]|\[|\]/g, (part) => {
    if (part === "[") inClass = true;
    if (part === "]") inClass = false;
    if (part === "\\s") return inClass ? BLANKS : `[${BLANKS}]`;
    return part === "\\S" ? `[^${BLANKS}]` : part;
  });
  return new RegExp(told, flags);
}

const whole = (source, flags = "") => pattern(`^(?:${source})$`, flags);

const _LEFT = pattern("^\\s+");
const _RIGHT = pattern("\\s+$");
const _GAP = pattern("\\s+");

const leftOf = (text) => text.replace(_RIGHT, "");
const trimmedLeft = (text) => text.replace(_LEFT, "");
const trimmed = (text) => leftOf(trimmedLeft(text));
const wordsOf = (text) => trimmed(text).split(_GAP).filter(Boolean);
const linesOf = (text) => {
  const lines = text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/);
  if (lines[lines.length - 1] === "") lines.pop();
  return lines;
};

const countOf = (amount, noun) => `${amount} ${noun}${amount === 1 ? "" : "s"}`;

/** A text in quotes, as Python prints it. */
function quoted(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/\\|'|[\p{C}\p{Z}]/gu, (letter) => {
    const code = letter.codePointAt(0);
    if (letter === "'") return quote === "'" ? "\\'" : "'";
    if (letter === " ") return letter;
    const short = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[letter];
    if (short) return short;
    const digits = code.toString(16);
    if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
  });
  return quote + escaped + quote;
}

/** The text in quotes, cut to 24 letters. */
function brief(text) {
  const letters = [...trimmed(text)];
  return quoted(letters.length <= 24 ? letters.join("") : `${letters.slice(0, 21).join("")}...`);
}

// --- Bytes ----------------------------------------------------------------------------------------

const hexOf = (data, between = "") =>
  Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(between);

/** The bytes of hex digits, an even number of them. */
function unhexed(digits) {
  const data = new Uint8Array(digits.length / 2);
  for (let at = 0; at < data.length; at++) data[at] = parseInt(digits.substr(2 * at, 2), 16);
  return data;
}

function concatenated(parts) {
  const data = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

const reversed = (data) => Uint8Array.from(data).reverse();
const equal = (one, other) =>
  one.length === other.length && one.every((byte, at) => byte === other[at]);

/** A little-endian number of all these bytes. */
const numberOf = (data) => (data.length ? BigInt(`0x${hexOf(reversed(data))}`) : 0n);

/** A number as little-endian bytes; null where it does not fit. A negative one is a two's complement. */
function bytesOf(value, width) {
  const limit = 1n << BigInt(8 * width);
  if (value >= limit || value < -(limit / 2n)) return null;
  const digits = (value < 0n ? value + limit : value).toString(16).padStart(2 * width, "0");
  return reversed(unhexed(digits));
}

const bitLength = (value) => (value ? (value < 0n ? -value : value).toString(2).length : 0);
const shown = (value) => `0x${value.toString(16)}`;

/** What stands most often, the first of several. */
function mostCommon(items) {
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  let best;
  for (const [item, count] of counts) if (best === undefined || count > counts.get(best)) best = item;
  return best;
}
