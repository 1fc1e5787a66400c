// One line of a hex dump: its address, its words, its text column. As read/rows.py has it, whose table
// says which program prints which mark.

const _ADDRESS = pattern(
  "^\\s*(?:0[xX](?<prefixed>[0-9a-fA-F`]+)(?:\\s*<[^\\n]*>)?:(?=\\s|$)" +
    "|(?<named>[0-9a-fA-F]{1,16})\\s*<[^>]*>:(?=\\s|$)" +
    "|(?<tick>[0-9a-fA-F]{8}`[0-9a-fA-F]{8})(?=\\s|$)" +
    "|(?<colon>[0-9a-fA-F]{4,16}):(?=\\s|$)" +
    "|(?<column>[0-9a-fA-F]{6,16})(?=\\s|$))",
);
// A lookahead and what it found stand for the possessive quantifiers that this language lacks.
const _LABEL = pattern(
  "^\\s*(?:(?=(?<a>[^\\sg-zG-Z_]*))\\k<a>[g-zG-Z_](?=(?<c>\\S*))\\k<c>(?=(?<b>\\s+))\\k<b>)+" +
    "(?:(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\\.\\d:\\s+)?",
);
const _BARS = pattern(
  "(?<=\\S)(?=(?<a>\\s+))\\k<a>(?:[|>](?<bar>[^\\n]*?)[|<]?|\\*(?<star>[^\\n]*)\\*)(?=(?<z>\\s*))\\k<z>$",
);
const _SPREAD = pattern("\\s{2,}", "g");
const _JOINT = /(?<=[0-9a-fA-F])[-`](?=[0-9a-fA-F])/g;
const _IS_HEX = /^[0-9a-fA-F]+$/;
const _IS_ZERO_X = /^0[xX][0-9a-fA-F]+$/;
const _CHARACTER = pattern("\\s'(?:\\\\[^\\n][0-7]*|[^'\\\\])'", "g");
const _IS_SIGNED = /^-?\d+$/;
const _IS_DECIMALS = whole("(?:\\s{2,}\\d{1,2})+\\s*");
const _IS_BITS = /^(?:[01]{8}){1,8}$/;

const _LONGEST = 2048; // letters of a line
const _GAPS = 40; // wide gaps of a line behind which its text may begin

const rowOf = (number, mark, address, words, base, text, label, isLog, isSpread = false) => ({
  number, mark, address, words, base, text, label, isLog, isSpread,
});
const wrongOf = (number, mark, found, isDecimal) => ({ number, mark, found, isDecimal, isWrong: true });
const isRow = (found) => found !== null && !found.isWrong;

/** Bytes of the first word; 0 where the digits do not tell. */
const widthOf = (row) =>
  !row.words.length || row.base === 10 ? 0 : Math.floor(row.words[0].length / (row.base === 16 ? 2 : 8));

/** The bytes, the digits of each word as they stand or from the last to the first. */
function dataOf(row, reverse) {
  const parts = row.words.map((word) =>
    row.base === 2
      ? Uint8Array.from(word.match(/.{8}/g), (bits) => parseInt(bits, 2))
      : unhexed(word),
  );
  return concatenated(reverse ? parts.map(reversed) : parts);
}

/** The row that a line is, without a log's prefix; what is wrong with it; null for other text. */
function rowIn(line, number = 1, isLog = false) {
  if ([...line].length > _LONGEST) return null;
  const found = _addressed(line, number, isLog, "");
  if (isRow(found)) return _unlessBare(found, line);
  const bare = bareRow(line, number, isLog);
  if (bare) return bare;
  const label = found === null ? _LABEL.exec(line) : null;
  if (!label) return found;
  const inner = _addressed(line.slice(label[0].length), number, isLog, label[0]);
  return inner && inner.mark !== " " ? inner : null;
}

function _unlessBare(found, line) {
  const isOdd = found.words.some((word) => word.length % 2);
  if (found.mark !== " " || _BARS.test(line) || (found.isSpread && !isOdd)) return found;
  const bare = _bare(line, found.number, found.isLog, "");
  return bare && bare.text !== null ? bare : found;
}

/** The row that a line without an address is: words of one width, or null. */
function bareRow(line, number = 1, isLog = false, label = "") {
  if ([...line].length > _LONGEST) return null;
  const found = _bare(line, number, isLog, "");
  if (found) return found;
  if (label && line.startsWith(label)) return _bare(line.slice(label.length), number, isLog, label);
  const before = _LABEL.exec(line);
  const inner = before ? _bare(line.slice(before[0].length), number, isLog, before[0]) : null;
  return inner && inner.words.length > 1 ? inner : null;
}

function _addressed(line, number, isLog, label) {
  const match = _ADDRESS.exec(line);
  if (!match) return null;
  const { prefixed, named, tick, colon, column } = match.groups;
  const rest = line.slice(match[0].length);
  const address = (prefixed || named || tick || colon || column).replace(/`/g, "");
  let mark = prefixed || named ? "0x:" : tick ? "`" : " ";
  if (colon) {
    mark = /^0[xX]/.test(trimmedLeft(rest)) ? ":0x" : rest.startsWith("  ") ? "::" : ":";
  }
  if (!trimmed(rest)) return rowOf(number, mark, address, [], 16, null, label, isLog);
  const isDebugger = (mark === "0x:" || mark === ":0x") && !named;
  const [words, base, text] = isDebugger ? _ofDebugger(rest) : _ofColumns(rest, mark);
  const isDecimal = mark === " " && address.length < 8 && _IS_DECIMALS.test(rest);
  if (words && words.length && mark === " " && text !== null && _isOfMore(words, text)) return null;
  if (words === null || isDecimal) return wrongOf(number, mark, trimmed(rest), isDecimal);
  return rowOf(number, mark, address, words, base, text, label, isLog, rest.startsWith("  "));
}

function _ofDebugger(rest) {
  const words = wordsOf(rest);
  if (words.every((word) => _IS_ZERO_X.test(word))) {
    return [words.map((word) => word.slice(2)), 16, null];
  }
  if (rest.includes("\t")) {
    const plain = wordsOf(rest.replace(_CHARACTER, ""));
    if (plain.every((word) => _IS_BITS.test(word))) return [plain, 2, null];
    return [plain.every((word) => _IS_SIGNED.test(word)) ? plain : null, 10, null];
  }
  return _ofColumns(rest, "0x:");
}

function _ofColumns(rest, mark) {
  let first = [null, null];
  for (const [words, text] of _cuts(rest, "` :".includes(mark) && mark.length === 1)) {
    if (!_isUniform(words)) continue;
    if (text === null || _fits(words, text)) {
      first = [words, text];
      break;
    }
    if (first[0] === null) first = [words, text];
  }
  return [first[0], _baseOf(...first), first[1]];
}

/** xxd -b prints a byte as eight binary digits: one letter of its text column for each of them. */
function _baseOf(words, text) {
  const isBinary = words && words.length && text !== null && words.every((word) => _IS_BITS.test(word));
  return isBinary && [...text].length <= words.length ? 2 : 16;
}

/** Where the text column may begin: at bars, at each wide gap; last of all nowhere. */
function* _cuts(rest, dashes) {
  rest = rest.replace(/[\r\n]+$/, "");
  const split = (left) => wordsOf(dashes ? left.replace(_JOINT, (joint) => (joint === "-" ? " " : "")) : left);
  const bars = _BARS.exec(rest);
  if (bars) yield [split(rest.slice(0, bars.index)), bars.groups.star ?? bars.groups.bar];
  const start = rest.length - trimmedLeft(rest).length;
  _SPREAD.lastIndex = start;
  const ends = [];
  for (let gap; ends.length < _GAPS && (gap = _SPREAD.exec(rest)); ) ends.push([gap.index, _SPREAD.lastIndex]);
  for (const [end, text] of [...ends, [rest.length, null]]) {
    if (text === null || text < rest.length) {
      yield [split(rest.slice(0, end)), text === null ? null : rest.slice(text)];
    }
  }
}

/** Whether these are hex words of one width; only the last may be cut. */
function _isUniform(words) {
  const last = words.length - 1;
  return (
    last >= 0 &&
    words.every((word) => _IS_HEX.test(word)) &&
    words.every((word, at) => (at < last ? word.length === words[0].length : word.length <= words[0].length))
  );
}

function _fits(words, text) {
  const base = _baseOf(words, text);
  if (base === 16 && words.some((word) => word.length % 2)) return false;
  const probe = rowOf(0, "", "", words, base, null, "", false);
  return [false, true].some((reverse) => agrees(dataOf(probe, reverse), text));
}

function _isOfMore(words, text) {
  const isHex = [2, 4, 8, 16].includes(words[0].length);
  return isHex && !_fits(words, text) && 2 * [...text].length !== words.join("").length;
}

/** Whether a text column is that of these bytes. */
function agrees(data, text) {
  const letters = [...text];
  const held = [...leftOf(text)].length;
  if (held > data.length) return false;
  let blanks = 0;
  while (blanks < data.length && data[blanks] === 0x20) blanks++;
  for (let lost = 0; lost <= Math.min(blanks, data.length - held); lost++) {
    const isText = data.every((byte, at) => {
      const letter = at < lost ? " " : letters[at - lost] ?? " ";
      if (byte >= 0x20 && byte < 0x7f) return letter === String.fromCharCode(byte);
      return ".? ".includes(letter) || letter.codePointAt(0) > 0x7e;
    });
    if (isText) return true;
  }
  return false;
}

function _bare(line, number, isLog, label) {
  for (const [words, text] of _cuts(line, false)) {
    if (!_isUniform(words) || words.some((word) => word.length % 2)) continue;
    if (text === null || _fits(words, text)) {
      return rowOf(number, "", "", words, 16, text, label, isLog);
    }
  }
  return null;
}
