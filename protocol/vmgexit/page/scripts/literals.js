// Byte literals and arrays, as C, Rust, Python, Go, GDB's print and drgn write them. As read/literals.py
// has it, whose table lists the forms.

const _TOKEN = pattern(
  `(?<string>[bBcC]?[rR]?"(?=(?<a>(?:[^"\\\\\\n]|\\\\.|\\\\\\n)*))\\k<a>"` +
    `|[bB]?'(?=(?<b>(?:[^'\\\\\\n]|\\\\.|\\\\\\n)*))\\k<b>')` +
    "|(?<repeats><repeats (?<times>\\d+) times>)" +
    "|(?<comment>//[^\\n]*|/\\*.*?\\*/)" +
    "|(?<number>-?0[xX][0-9a-fA-F_]+[\\p{L}\\p{N}_]*" +
    "|-?(?<![\\p{L}\\p{N}_])[0-9][0-9a-fA-F_]*(?:u8|u16|u32|u64|i8|[uUlL]+)?(?![\\p{L}\\p{N}_]))" +
    "|(?<word>[A-Za-z_$#][\\p{L}\\p{N}_.$]*)" +
    "|(?<dots>\\.\\.\\.|…)" +
    "|(?<space>\\s+)" +
    "|(?<sign>.)",
  "gsu",
);
const _KINDS = ["string", "repeats", "comment", "number", "word", "dots", "space", "sign"];
const STRING = "a string of bytes";
const _HEAD = 64; // tokens of a text among which a literal begins
const _TYPE = 16; // tokens within which the `;` of a type of Rust stands
const _MOST = 1 << 24; // elements of a literal
const _CLOSING = pattern("^[\\s;,)\\]}]*(?:unsigned int \\w+_len = \\d+;\\s*)?");
const _ESCAPES = { n: 10, t: 9, r: 13, a: 7, b: 8, f: 12, v: 11, e: 27, "\\": 92, "'": 39, '"': 34 };
const _ESCAPE = pattern("\\\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|(\\n\\s*)|(.))", "gsu");
const _TYPES = {
  1: ["char", "u8", "i8", "s8", "__u8", "uint8_t", "int8_t", "byte", "bytes", "uint8", "UINT8"],
  2: ["short", "u16", "i16", "__u16", "__le16", "uint16_t", "int16_t", "uint16", "UINT16"],
  4: ["int", "unsigned", "u32", "i32", "__u32", "__le32", "uint32_t", "int32_t", "uint32", "UINT32"],
  8: ["long", "u64", "i64", "__u64", "__le64", "uint64_t", "int64_t", "usize", "uint64", "UINT64"],
};
const _WIDTHS = new Map(
  Object.entries(_TYPES).flatMap(([width, names]) => names.map((name) => [name, Number(width)])),
);

function* _tokens(text) {
  let line = 1;
  for (const match of text.matchAll(_TOKEN)) {
    const kind = _KINDS.find((name) => match.groups[name] !== undefined);
    if (kind !== "space" && kind !== "comment") {
      yield { kind, text: match[0], line, end: match.index + match[0].length };
    }
    line += match[0].split("\n").length - 1;
  }
}

/** Whether the text begins as a literal does, maybe with its name and type before it. */
function isLiteral(text) {
  const tokens = [];
  for (const token of _tokens(trimmedLeft(text))) {
    tokens.push(token);
    if (tokens.length === _HEAD) break;
  }
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    const before = at ? tokens[at - 1].text : "";
    if (token.kind === "string") return at === 0 || _isOneOf(before, "=(,[{:*&");
    if ((token.text === "{" || token.text === "[") && _begins(tokens, at)) {
      const isTyped = _WIDTHS.has(before) || before.endsWith("vec");
      return at === 0 || _isOneOf(before, "=()&,:!") || isTyped;
    }
    if (token.kind === "dots") return false;
    if (token.kind === "number" && before !== "[" && before !== ";") return false;
  }
  return false;
}

const _isOneOf = (text, letters) => text.length === 1 && letters.includes(text);

/** The bytes of the first literal in `text`. `size`: of the structure expected, 0 if not known. */
function literalIn(text, size = 0) {
  const [head, body, end] = _parted([..._tokens(text)]);
  if (!body.length) {
    throw new DecodeError("line 1: no element found, a string of bytes or numbers expected");
  }
  const found = head.some((token) => token.text.endsWith("fromhex"))
    ? _fromHex(body)
    : body.some((token) => token.kind === "string")
      ? _stringOf(body, size)
      : _elements(head, body, size);
  const rest = leftOf(text.slice(end)).replace(_CLOSING, "");
  return { notes: [], other: new Uint8Array(0), ...found, rest };
}

/** What stands before the value; the value up to where its bracket closes; where the text goes on. */
function _parted(tokens) {
  let start = tokens.findIndex((token) => token.text === "=") + 1;
  while (start < tokens.length && !_begins(tokens, start)) start++;
  const opening = start < tokens.length ? tokens[start].text : "";
  if (opening !== "{" && opening !== "[") {
    const body = _runOfStrings(tokens.slice(start));
    const last = [...body].reverse().find((token) => token.text !== ",");
    return [tokens.slice(0, start), body, last ? last.end : 0];
  }
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    depth += "{[".includes(tokens[at].text) - "}]".includes(tokens[at].text);
    if (!depth) return [tokens.slice(0, start), tokens.slice(start + 1, at), tokens[at].end];
  }
  return [tokens.slice(0, start), tokens.slice(start + 1), tokens[tokens.length - 1].end];
}

/** Whether the value begins here: a string, a brace, or a bracket that is no type's, name's or word's. */
function _begins(tokens, at) {
  const token = tokens[at];
  if (token.kind === "string" || token.text === "{") return true;
  const before = at ? tokens[at - 1] : null;
  const isIndex = before && before.kind === "word" && before.text !== "vec" && before.text !== "bytes";
  const after = tokens.slice(at, at + _TYPE);
  const closing = after.findIndex((later) => _isOneOf(later.text, "];}"));
  const behind = after[closing + 1];
  const isType = closing >= 0 && (after[closing].text === ";" || (behind && _WIDTHS.has(behind.text)));
  const isProse = after.length > 1 && after[1].kind === "word" && !_isShortHex(after[1].text);
  return token.text === "[" && !isIndex && !isType && !isProse;
}

/** Strings one after the other, GDB's repeats and dots among them. */
function _runOfStrings(tokens) {
  const run = [];
  for (const token of tokens) {
    if (["string", "repeats", "dots"].includes(token.kind) || token.text === ",") run.push(token);
    else if (token.kind !== "word" && token.text !== "\\" && token.text !== "+") break;
  }
  return run;
}

const _IS_FROMHEX = whole("\\s*(?:[0-9a-fA-F]{2}\\s*)*");

function _fromHex(body) {
  const strings = body.filter((token) => token.kind === "string");
  const text = strings.map((token) => token.text.replace(/^["']+|["']+$/g, "")).join("");
  if (!_IS_FROMHEX.test(text)) {
    throw new DecodeError(`line ${body[0].line}: ${brief(text)} found, hex digits expected`);
  }
  return { data: unhexed(wordsOf(text).join("")), form: "bytes.fromhex of Python" };
}

// --- Strings --------------------------------------------------------------------------------------

function _stringOf(body, size) {
  const parts = [];
  let length = 0;
  let last = new Uint8Array(0);
  const add = (part) => {
    parts.push(part);
    length += part.length;
  };
  for (const token of body) {
    if (token.kind === "repeats") {
      const times = _times(token, length) - 1;
      add(_repeated(last.length ? last : new Uint8Array(1), last.length ? times * last.length : 0));
    } else if (token.kind === "dots") {
      throw new DecodeError(
        `line ${token.line}: '...' found, the whole string expected: it is cut there`,
      );
    } else if (token.kind === "string") {
      last = _unescaped(token);
      add(last);
    } else if (token.text !== ",") {
      throw new DecodeError(`line ${token.line}: ${brief(token.text)} found, a string expected`);
    }
  }
  const data = concatenated(parts);
  if (data.length + 1 === size && !/^[bB]/.test(body[0].text)) {
    return {
      data: concatenated([data, new Uint8Array(1)]),
      form: "a string of C",
      notes: ["the NUL at its end is added: C and GDB do not show it"],
    };
  }
  return { data, form: STRING };
}

function _unescaped(token) {
  const quote = token.text[token.text.length - 1];
  const start = token.text.indexOf(quote);
  const prefix = token.text.slice(0, start).toLowerCase();
  const inner = token.text.slice(start + 1, -1);
  const isAscii = prefix.includes("b");
  if (prefix.includes("r")) return _encoded(inner, isAscii, token.line);
  const parts = [];
  let at = 0;
  for (const match of inner.matchAll(_ESCAPE)) {
    parts.push(_encoded(inner.slice(at, match.index), isAscii, token.line));
    at = match.index + match[0].length;
    parts.push(_escaped(match, token.line));
  }
  parts.push(_encoded(inner.slice(at), isAscii, token.line));
  return concatenated(parts);
}

function _escaped([, digits, octal, newline, letter], line) {
  if (digits) return unhexed(digits);
  if (octal) {
    const value = parseInt(octal, 8);
    if (value > 0xff) {
      throw new DecodeError(`line ${line}: \\${octal} found, at most \\377 expected`);
    }
    return Uint8Array.of(value);
  }
  if (newline) return new Uint8Array(0);
  if (!Object.hasOwn(_ESCAPES, letter)) {
    throw new DecodeError(
      `line ${line}: '\\${letter}' found, \\x and two digits or another escape expected`,
    );
  }
  return Uint8Array.of(_ESCAPES[letter]);
}

function _encoded(text, isAscii, line) {
  const wrong = isAscii ? /[^\0-\x7f]/u.exec(text) : /\p{Cs}/u.exec(text);
  if (wrong) {
    throw new DecodeError(
      `line ${line}: ${quoted(wrong[0])} found in a string of bytes, ASCII or an escape expected`,
    );
  }
  return new TextEncoder().encode(text);
}

// --- Arrays ---------------------------------------------------------------------------------------

function _elements(head, body, size) {
  const values = [];
  for (const token of body) {
    if (token.kind === "repeats") {
      if (!values.length) {
        throw new DecodeError(`line ${token.line}: ${token.text} found, an element expected before`);
      }
      const last = values[values.length - 1];
      for (let times = _times(token, values.length) - 1; times > 0; times--) values.push(last);
    } else if (token.kind === "dots") {
      throw new DecodeError(`line ${token.line}: '...' found, every element expected: it is cut there`);
    } else if (token.kind === "number" || (token.kind === "word" && _isShortHex(token.text))) {
      values.push(token);
    } else if (token.kind === "word" || !_isOneOf(token.text, ",;()")) {
      throw new DecodeError(`line ${token.line}: ${brief(token.text)} found, a number expected`);
    }
  }
  if (!values.length) throw new DecodeError("line 1: no element found, numbers expected");
  const notes = [];
  const texts = values.map((token) => _withoutSuffix(token.text));
  const base = _baseOfElements(texts);
  const isDoubtful =
    base === 10 && !head.length && texts.some((text) => text.length > 1) && texts.every(_isShortHex);
  if (isDoubtful) {
    notes.push("read as decimal numbers; nothing tells, they might be hex digits of bytes");
  }
  const parsed = values.map((token, at) => _parsed(token, texts[at], base));
  const width = _widthOfElements(head, texts, parsed, base, size);
  const parts = values.map((token, at) => {
    const data = bytesOf(parsed[at], width);
    if (data) return data;
    const expected = `an element of ${countOf(width, "byte")} expected`;
    throw new DecodeError(`line ${token.line}: ${brief(token.text)} found, ${expected}`);
  });
  const count = _declared(head);
  if (count && values.length < count) {
    if (count > _MOST) throw new DecodeError(`${count} elements found, at most ${_MOST} expected`);
    parts.push(new Uint8Array((count - values.length) * width));
    notes.push(`${values.length} of ${count} elements are shown, the others are zero`);
  }
  const data = concatenated(parts);
  const elements = countOf(Math.floor(data.length / width), "element");
  return {
    data,
    form: `an array of ${elements} of ${countOf(width, "byte")}`,
    notes,
    other: isDoubtful ? Uint8Array.from(texts, (text) => parseInt(text, 16)) : new Uint8Array(0),
  };
}

/** How often GDB says that an element stands; `before`: how many elements are there already. */
function _times(token, before) {
  const times = token.text.split(" ")[1];
  if (times.length > String(_MOST).length || before + Number(times) > _MOST) {
    throw new DecodeError(
      `line ${token.line}: ${brief(token.text)} found, at most ${_MOST} elements expected`,
    );
  }
  return Number(times);
}

const _isShortHex = (text) => /^[0-9a-fA-F]{1,2}$/.test(text);

/** A number without its suffix: 0x61u8, 97UL. */
const _withoutSuffix = (text) =>
  text.replace(/(?<=[0-9a-fA-F])_?(?:[ui](?:8|16|32|64)|[uUlL]{1,3})$/, "").replace(/_/g, "");

/** 0 for what C, Rust and Python write; 16 for Rust's {:02x?}, which has no 0x. */
function _baseOfElements(texts) {
  if (texts.some((text) => /^-*0x/i.test(text))) return 0;
  const bareHex = texts.some((text) => /[a-f]/i.test(text) || (text.length > 1 && text[0] === "0"));
  return bareHex && texts.every(_isShortHex) ? 16 : 10;
}

function _parsed(token, text, base) {
  const digits = text.replace(/^-/, "");
  const forms = { 0: /^(?:0x[0-9a-f]+|0+|[1-9][0-9]*)$/i, 10: /^[0-9]+$/, 16: /^[0-9a-f]+$/i };
  if (!forms[base].test(digits)) {
    throw new DecodeError(`line ${token.line}: ${brief(token.text)} found, a number expected`);
  }
  const value = BigInt(base === 16 ? `0x${digits}` : digits.toLowerCase());
  return text.startsWith("-") ? -value : value;
}

/** Bytes of an element. */
function _widthOfElements(head, texts, values, base, size) {
  const types = head.map((token) => token.text).filter((text) => _WIDTHS.has(text));
  if (types.length) {
    return _WIDTHS.get(types.find((name) => name !== "unsigned" && name !== "int") ?? "int");
  }
  if (base === 16) return 1;
  const largest = values.reduce((most, value) => Math.max(most, Math.ceil(bitLength(value) / 8)), 0);
  const written = new Set(base === 0 ? texts.map((text) => text.replace(/^-+/, "").length - 2) : []);
  if (written.size === 1 && [2, 4, 8, 16].includes([...written][0])) return [...written][0] / 2;
  const fitting = [1, 2, 4, 8].find((width) => width >= largest && width * values.length === size);
  if (fitting) return fitting;
  if (largest <= 1) return 1;
  throw new DecodeError(
    `line 1: elements of different widths found, up to ${largest} bytes; the type of the array` +
      " or as many digits in each expected",
  );
}

/** The number of elements that drgn's type names; 0 for others. */
function _declared(head) {
  const texts = head.map((token) => token.text);
  if (texts.includes("=")) return 0;
  for (let at = 0; at + 2 < texts.length; at++) {
    if (texts[at] === "[" && /^[0-9]+$/.test(texts[at + 1]) && texts[at + 2] === "]") {
      return Number(texts[at + 1]);
    }
  }
  return 0;
}
