// Any text that shows bytes: logs' prefixes off, then values, a literal, lines of a dump, or base64. As
// read/hexdump.py, prefixes.py, plain.py and base64.py have it.

const _CLOCK = "\\d\\d:\\d\\d:\\d\\d(?:[.,]\\d+)?";
const _MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const _DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const _SOURCE = "(?:\\s+[^\\s:\\[]+\\s+(?=\\S*[g-zG-Z_])[\\p{L}\\p{N}_./@\\-]+(?:\\[\\d+\\])?:(?=\\s|$))?";
const _PARTS = [
  "<\\d{1,3}>", // syslog's level
  "\\d+,\\d+,\\d+,[^;\\s]*;", // /dev/kmsg
  "(?:kern|user|daemon|syslog|local\\d)\\s*:\\s*(?:emerg|alert|crit|err|warn|notice|info|debug)\\s*:",
  `\\[${_DAY} ${_MONTH} +\\d+ ${_CLOCK} \\d{4}\\]`, // dmesg -T
  `\\[${_MONTH}\\s?\\d+ \\d\\d:\\d\\d\\]`, // dmesg -e
  "\\[\\s*\\d+\\.\\d+ <\\s*\\d+\\.\\d+>\\]", // dmesg -d
  "\\[\\s*\\+?\\d+\\.\\d+\\](?:\\s+[^\\s:\\[]+\\s+kernel:(?=\\s|$))?", // uptime
  "\\[\\s*[TC]\\d+\\]", // the caller: a task or a processor
  `${_MONTH} +\\d+ ${_CLOCK}${_SOURCE}`, // journalctl, syslog
  `\\d{4}-\\d\\d-\\d\\d[T ]${_CLOCK}(?:[+\\-]\\d\\d:?\\d\\d|Z)?${_SOURCE}`, // short-iso, rsyslog
  `${_DAY} \\d{4}-\\d\\d-\\d\\d ${_CLOCK} [A-Z][A-Z0-9+\\-]*${_SOURCE}`, // short-full
  `\\d{9,}\\.\\d{6}${_SOURCE}`, // short-unix
  "kernel:(?=\\s|$)",
  "\\[[\\p{L}\\p{N}_./\\\\\\-]+\\.rs:\\d+(?::\\d+)?\\]", // dbg! of Rust
];
const _PREFIX = pattern(`^\\s*(?:(?:${_PARTS.join("|")})\\s?)+`, "u");
const _PROMPT = pattern(
  "^\\s*(?:>>> |\\.\\.\\. |\\((?:gdb|lldb|qemu)\\)|In \\[\\d+\\]:|crash>|drgn>|\\d+: kd>|[$#] )",
);
const _COLOUR = /\x1b\[[\d;]*[A-Za-z]/g;
const _QUOTES = pattern("^\\s*(?:>(?!>> )\\s?)+");
const _RESULT = whole("\\s*\\$\\d+ = (0[xX][0-9a-fA-F]+|\\d+)\\s*");
const _COMMANDS = 3; // lines that may stand before a literal

/** The prefix of a line of a log, "" where there is none, and the rest of it. */
function splitPrefix(line) {
  const message = _memberOf(line, "MESSAGE"); // journalctl -o json
  if (message) return ["{", splitPrefix(message)[1]];
  line = line.replace(_COLOUR, "").replace(_QUOTES, "");
  const match = _PREFIX.exec(line);
  return match ? [match[0], line.slice(match[0].length)] : ["", line];
}

const isPrompt = (line) => _PROMPT.test(line);

/** The lines that a line holds: those of QEMU's monitor, where QMP answers with them in JSON. */
function _heldBy(line) {
  const held = linesOf(_memberOf(line, "return"));
  return held.length ? held : [line];
}

/** The text that a line of JSON has under a name; "" for another line. */
function _memberOf(line, name) {
  if (!line.startsWith("{") || !line.includes(`"${name}"`)) return "";
  try {
    const text = JSON.parse(line)[name];
    return typeof text === "string" ? text : "";
  } catch {
    return "";
  }
}

/** What `text` shows. `size`: of the structure expected, 0 if not known. Throws DecodeError. */
function readDump(text, size = 0) {
  const lines = linesOf(text.replace(/^\ufeff/, ""))
    .flatMap((line, at) => _heldBy(line).map((line) => ({ line, number: at + 1 })))
    .filter(({ line }) => trimmed(line))
    .map(({ line, number }) => {
      const [prefix, body] = splitPrefix(line);
      return { number, prefix, body };
    })
    .filter((line) => trimmed(line.body));
  let dump = null;
  try {
    if (lines.length) dump = _dumpOf(lines, size);
  } catch (error) {
    const data = error instanceof DecodeError ? base64In(text) : null;
    if (data === null) throw error;
    return dumpOf(data, "base64", { isRows: false });
  }
  if (!dump || !dump.data.length) throw new DecodeError("no bytes found, hex digits expected");
  return dump;
}

function _dumpOf(lines, size) {
  const value = _printed(lines);
  if (value) return dumpOf(value.data, saidOf(value), { isRows: false, values: [value] });
  const values = _valuesOf(lines);
  if (values && values.length) {
    const data = values.length === 1 ? values[0].data : concatenated(values.map((each) => each.data));
    const [other, notes] = doubtsOf(lines);
    return dumpOf(data, _formOfValues(values), { notes, isRows: lines.length > 1, values, other });
  }
  const at = _startOfLiteral(lines);
  if (at === null) return ofLines(lines, size);
  const found = literalIn(lines.slice(at).map((line) => line.body).join("\n"), size);
  const others = [...lines.slice(0, at), ..._lastLines(lines, found.rest)];
  return dumpOf(found.data, found.form, {
    notes: [...found.notes, ...skips(others)],
    skipped: others.filter((each) => !isPrompt(each.body)).map((each) => each.number),
    isRows: false,
    other: found.other,
  });
}

/** The number that GDB's `print` shows, alone or behind the command. */
function _printed(lines) {
  const match = _RESULT.exec(lines[lines.length - 1].body);
  if (!match || !lines.slice(0, -1).every((line) => isPrompt(line.body))) return null;
  return numberIn(match[1]);
}

/** Where a literal begins: at once, or behind the command that printed it. */
function _startOfLiteral(lines) {
  for (let at = 0; at < Math.min(lines.length, _COMMANDS + 1); at++) {
    const text = lines.slice(at, at + 3).map((each) => each.body).join("\n");
    if (!isPrompt(lines[at].body) && isLiteral(text)) return at;
    if (rowIn(lines[at].body) !== null || isHexish(lines[at].body)) return null;
  }
  return null;
}

/** The lines that `rest` ends, the first of them as far as it is in `rest`. */
function _lastLines(lines, rest) {
  const bodies = rest ? rest.split("\n") : [];
  const behind = lines.slice(lines.length - bodies.length);
  return bodies.map((body, at) => ({ ...behind[at], body }));
}

/** The values that the text is: 0x tokens, or one line of bare digits without an address. */
function _valuesOf(lines) {
  const body = lines.map((line) => line.body).join("\n");
  const values = tokensOf(body);
  if (!values || !values.length || values.some((value) => /0x/i.test(value.written.slice(0, 2)))) {
    return values;
  }
  if (lines[0].prefix || lines.length !== 1) return null;
  const found = rowIn(body);
  const hasAddress =
    found && !found.isWrong && (found.mark === "`" || (found.mark === " " && areColumns([found])));
  return hasAddress ? null : values;
}

function _formOfValues(values) {
  const numbers = values.filter((value) => value.kind === "number");
  const widths = new Set(numbers.map((value) => value.data.length));
  if (!widths.size) return "hex digits in memory order";
  if (values.length === 1) return saidOf(values[0]);
  const of = widths.size === 1 ? `of ${countOf([...widths][0], "byte")}` : "each as wide as it is written";
  return `${countOf(values.length, "number")} ${of}`;
}

// --- Plain hex ------------------------------------------------------------------------------------

const _FILLER = pattern("[\\s,;:{}\\[\\]()\"'_\\-]", "g");
const _COLON = pattern("^\\s*(?:0[xX])?[0-9a-fA-F]{4,}:(?=\\s|$)");
const _MEANT = /^(?:(?=[^\n]*\d)[0-9a-fA-F]+[^0-9a-fA-F]?[0-9a-fA-F]*|[0-9a-fA-F]{2})$/u;

/** Whether a line that could not be read looks as if it were meant as bytes. */
function isHexish(body) {
  if (body.includes("\ufffd")) return true;
  const meant = wordsOf(body.replace(_FILLER, " ")).map((word) => _MEANT.test(word));
  return meant.length > 0 && (meant[0] || 2 * meant.filter(Boolean).length > meant.length);
}

/** Whether a line stands for others: `*`, `...`. */
function isLeftOut(body) {
  const text = trimmed(body);
  return text === "*" || (text.length > 1 && /^[.…]+$/.test(text));
}

/** Bytes in memory order with any separators; text before and after them is passed over. */
function plainOf(lines) {
  const first = lines.findIndex((line) => _isBytes(line.body));
  if (first < 0) {
    if (isHexish(lines[0].body)) _hexIn(lines[0].body, lines[0].number);
    throw new DecodeError(
      `line ${lines[0].number}: ${brief(lines[0].body)} found, a line of a hex dump, hex digits,` +
        " a 0x number or a byte literal expected",
    );
  }
  let last = lines.length - 1;
  while (!_isBytes(lines[last].body)) last--;
  const skipped = [...lines.slice(0, first), ...lines.slice(last + 1)];
  const left = lines.slice(first).find((line) => isLeftOut(line.body));
  if (left) {
    throw new DecodeError(
      `line ${left.number}: ${brief(left.body)} found: how many bytes are left out there is not known`,
    );
  }
  const meant = skipped.find((line) => isHexish(line.body));
  if (meant) _hexIn(meant.body, meant.number);
  const held = lines.slice(first, last + 1);
  const [other, doubted] = doubtsOf(held);
  return dumpOf(
    concatenated(held.map((line) => _hexIn(line.body, line.number))),
    "hex digits in memory order",
    {
      notes: [...doubted, ...skips(skipped)],
      skipped: skipped.map((line) => line.number),
      isRows: last > first,
      other,
    },
  );
}

/** Groups of more than one byte without an address may be words: their bytes then, and a note. */
function doubtsOf(lines) {
  const rows = lines.map((line) => bareRow(line.body)).filter(Boolean);
  const widths = new Set(rows.length === lines.length ? rows.map(widthOf) : []);
  const several = rows.length > 1 || rows.some((each) => each.words.length > 1);
  const [width] = widths;
  if (widths.size === 1 && several && [2, 4, 8].includes(width)) {
    const other = concatenated(rows.map((each) => dataOf(each, true)));
    if (!equal(other, concatenated(rows.map((each) => dataOf(each, false))))) {
      return [other, [`nothing tells the order; the groups might be ${orderOf(true, width)}`]];
    }
  }
  return [new Uint8Array(0), []];
}

function _isBytes(body) {
  try {
    return _hexIn(body, 1).length > 0;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

/** The bytes of one line. Throws DecodeError that says after how many digits it goes wrong. */
function _hexIn(line, number) {
  if (_IS_FROMHEX.test(line)) return unhexed(wordsOf(line).join(""));
  if (_COLON.test(line)) {
    throw new DecodeError(
      `line ${number}: an address found, plain hex expected as on the other lines`,
    );
  }
  const words = wordsOf(line.replace(_FILLER, " "));
  const letters = [...words.join("")];
  const wrong = letters.findIndex((letter) => !/[0-9a-fA-F]/.test(letter));
  if (wrong >= 0) {
    throw new DecodeError(
      `line ${number}: ${quoted(letters[wrong])} found after ${wrong} digits, a hex digit expected`,
    );
  }
  const odd = words.find((word) => word.length % 2);
  if (odd) {
    throw new DecodeError(
      `line ${number}: ${countOf(odd.length, "hex digit")} found, an even number expected`,
    );
  }
  return unhexed(words.join(""));
}

// --- Base64 ---------------------------------------------------------------------------------------

const _LEAST = 22; // letters that a text must have to be taken for base64: 16 bytes

/** What a text is the base64 of, as a whole; null for any other text. */
function base64In(text) {
  const words = text.split("\n").map(trimmed).filter(Boolean);
  const letters = words.join("");
  if (letters.length < _LEAST || !words.every((word) => /^[A-Za-z0-9+/_-]+={0,2}$/.test(word))) return null;
  if (/^(?:0[xX])?[0-9a-fA-F]+$/.test(letters)) return null; // hex, with a digit missing or too many
  const bare = letters.replace(/=+$/, "");
  if (new Set(words.slice(0, -1).map((word) => word.length)).size > 1 || bare.includes("=")) return null;
  if (bare.length % 4 === 1) return null;
  const binary = atob(bare.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}
