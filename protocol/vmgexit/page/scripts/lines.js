// All lines of a dump together: which program printed them, the order of their words, and their bytes.
// As read/lines.py and read/joined.py have it.

const _OCTAL_DIGITS = 7; // of od's addresses; hexdump has as many, in hex
const _OCTAL_WORDS = { 3: 1, 6: 2, 11: 4, 22: 8 }; // digits of od's octal words, and their bytes
const _COMMAND = pattern("\\bx/\\d*[a-z]*?([bhwg])[a-z]*\\b");
const _GDB_SIZES = { b: 1, h: 2, w: 4, g: 8 };
const _COUNTED = 4; // lines passed over that are named
const LIMIT = 256 << 20; // bytes that a dump may stand for
const FAR = 64 << 10; // bytes: a line that stands farther behind is of another dump

const orderOf = (reverse, width) =>
  reverse ? `little-endian words of ${width} bytes` : `groups of ${width} bytes in memory order`;

/** A dump that was read. `gaps`: ranges [start, stop) of bytes that are not shown, zeros in `data`. */
const dumpOf = (data, form, more = {}) => ({
  data, form, order: "", address: null, gaps: [], notes: [], skipped: [], isRows: true, values: [],
  other: new Uint8Array(0), ...more,
});

function skips(skipped) {
  if (!skipped.length) return [];
  const named = skipped.slice(0, _COUNTED).map((line) => `${line.number} ${brief(line.body)}`).join(", ");
  const more = skipped.length > _COUNTED ? ` and ${skipped.length - _COUNTED} more` : "";
  return [`passed over, as no part of the dump: line ${named}${more}`];
}

const _place = (address) => BigInt(`0x${address}`);
const _pairs = (items) => items.slice(1).map((after, at) => [items[at], after]);

function ofLines(lines, size) {
  let found = lines.map((line) => rowIn(line.body, line.number, Boolean(line.prefix)));
  let mark = _markOf(found);
  if (!mark) {
    mark = "";
    const bareRows = (label) =>
      lines.map((line) => bareRow(line.body, line.number, Boolean(line.prefix), label));
    let bare = bareRows("");
    const label = (bare.find((each) => each && each.label) || { label: "" }).label;
    if (label) bare = bareRows(label);
    if (!bare.some((each) => each && (each.isLog || each.label || each.text))) return plainOf(lines);
    found = bare;
  }
  let rows = [];
  const skipped = [];
  const breaks = new Map();
  lines.forEach((line, at) => {
    const each = found[at];
    if (trimmed(line.body) === "*" && mark) {
      rows.push(rowOf(line.number, mark, "", [], 16, null, "", false));
    } else if (each && !each.isWrong && _isSame(each.mark, mark)) {
      rows.push(each);
    } else {
      const complaint = _complaint(line, each, mark);
      if (complaint) throw new DecodeError(`line ${line.number}: ${complaint}`);
      skipped.push(line);
      if (rows.length && !breaks.has(rows.length)) breaks.set(rows.length, line);
    }
  });
  if (rows.some((each) => each.base === 2)) {
    const isBits = (row) => row.words.every((word) => /^[01]{8}$/.test(word));
    rows = rows.map((each) => (isBits(each) ? { ...each, base: 2 } : each));
  }
  if (mark === "0x:" || mark === ":0x") rows = _widened(rows);
  return _understood(mark, rows, skipped, breaks, size);
}

/** GDB's x/a has no leading zeros: where a word is of no width, all are of 8 bytes. */
function _widened(rows) {
  const isWhole = (word) => [2, 4, 8, 16].includes(word.length);
  if (rows.every((each) => each.base !== 16 || each.words.every(isWhole))) return rows;
  return rows.map((each) =>
    each.base === 16 ? { ...each, words: each.words.map((word) => word.padStart(16, "0")) } : each,
  );
}

const _isSame = (mark, kind) => mark === kind || (mark + kind === ":::" && mark !== "" && kind !== "");

/** How most lines are marked. */
function _markOf(found) {
  const rows = found.filter((each) => each && !each.isWrong);
  let marks = new Map();
  const count = (mark) => marks.set(mark, (marks.get(mark) ?? 0) + 1);
  rows.filter((each) => each.words.length).forEach((each) => count(each.mark));
  if (marks.get(" ") && !areColumns(rows.filter((each) => each.mark === " "))) marks.delete(" ");
  if (marks.get(":") && marks.get("::")) marks.delete("::");
  if (!marks.size) {
    const wrong = found.filter((each) => each && each.isWrong);
    wrong.filter((each) => each.mark !== " " || each.isDecimal).forEach((each) => count(each.mark));
  }
  let best = null;
  for (const [mark, times] of marks) {
    const most = best === null ? -1 : marks.get(best);
    if (times > most || (times === most && best === "" && mark !== "")) best = mark;
  }
  return best;
}

/** Whether the first words of these lines are addresses. */
function areColumns(rows) {
  if (rows.some((each) => each.text !== null)) return true;
  const counted = rows.flatMap((each) => (each.words.length > 1 ? each.words.slice(0, -1) : each.words));
  const widths = new Set(counted.map((word) => word.length));
  if (widths.size !== 1) return false;
  const [width] = widths;
  if (width in _OCTAL_WORDS) return rows.every((each) => each.address.length === _OCTAL_DIGITS);
  if (![2, 4, 8, 16].includes(width)) return false;
  if (rows.length === 1) {
    const { address, isSpread } = rows[0];
    return address.length % 2 === 1 || (isSpread && width === 2 && address.endsWith("0"));
  }
  return (
    rows.some((each) => each.address.length !== width) ||
    _pairs(rows).some(
      ([before, after]) =>
        _place(after.address) - _place(before.address) === BigInt(Math.floor((before.words.length * width) / 2)),
    )
  );
}

/** Why a line that is no row of the dump must not be passed over; "" for other text. */
function _complaint(line, found, mark) {
  if (isPrompt(line.body)) return "";
  if (found && found.isWrong && found.isDecimal) {
    return `${brief(found.found)} found, decimal as of od -t u1: the words of od -t x1 expected`;
  }
  if (found && found.isWrong && _isSame(found.mark, mark)) {
    return `${brief(found.found)} found after the address, hex words of one width expected`;
  }
  const isRowHere = found && !found.isWrong;
  if (isRowHere && found.mark && !mark) {
    return "an address found, plain hex expected as on the lines before";
  }
  if ((isRowHere && !found.label) || isHexish(line.body)) {
    const expected = mark ? "an address expected as on the other lines" : "hex bytes expected";
    return `${brief(line.body)} found, ${expected}`;
  }
  if (!mark && isLeftOut(line.body)) {
    return `${brief(line.body)} found: how many bytes are left out there is not known`;
  }
  return "";
}

function _understood(mark, rows, skipped, breaks, size) {
  const width = _wordSize(mark, rows, skipped, size);
  _checkDigits(mark, rows);
  const [reverse, isCertain, notes] = _order(mark, rows, width);
  const parts = (order) => rows.map((each) => _data(each, mark, width, order));
  const joined = _joined(mark, rows, parts(reverse), breaks, size);
  if (!joined.data.length) throw new DecodeError("no bytes found, hex digits expected");
  const other = isCertain ? new Uint8Array(0) : _joined(mark, rows, parts(!reverse), breaks, size).data;
  return dumpOf(joined.data, _form(mark, rows), {
    order: width > 1 ? orderOf(reverse, width) : "",
    address: joined.address,
    gaps: joined.gaps,
    notes: [...notes, ...joined.notes, ...skips(skipped)],
    skipped: skipped.map((line) => line.number),
    other,
  });
}

function _joined(mark, rows, parts, breaks, size) {
  if (mark === "") return _concatenated(parts, breaks, size);
  if (_areHashed(mark, rows, parts)) {
    const note = "the addresses are in no order, as hashed pointers are: lines read as they come";
    const joined = _concatenated(parts, breaks, size);
    return { ...joined, notes: [note, ...joined.notes] };
  }
  const width = Math.max(...rows.map(widthOf));
  const joined = _byAddress(mark, rows, parts, width, size);
  const start = joined.address ?? 0n;
  if (!(mark === ":" || mark === " ") || !(0n < start && start <= BigInt(size - joined.data.length))) {
    return joined;
  }
  const before = Number(start);
  return {
    address: 0n,
    data: concatenated([new Uint8Array(before), joined.data]),
    gaps: [[0, before], ...joined.gaps.map(([from, to]) => [from + before, to + before])],
    notes: [`the first address is ${shown(start)}: what stands before it is not in the dump`, ...joined.notes],
  };
}

function _checkDigits(mark, rows) {
  if (_hasOctal(mark, rows) || rows.some((each) => each.base === 10)) return;
  for (const each of rows) {
    const odd = each.words.find((word) => word.length % 2);
    if (odd) {
      throw new DecodeError(
        `line ${each.number}: ${brief(odd)} found, hex words of an even number of digits expected` +
          " (od -t x1, or x/16xb of GDB, print them)",
      );
    }
  }
}

function _wordSize(mark, rows, skipped, size) {
  const first = rows.find((each) => each.words.length);
  const digits = first.words[0].length;
  if (mark === " " && digits in _OCTAL_WORDS) return _OCTAL_WORDS[digits];
  if (first.base !== 10) return widthOf(first);
  const floor = (a, b) => a / b - BigInt(a % b !== 0n && a < 0n !== b < 0n);
  const steps = _pairs(rows)
    .filter(([before, after]) => before.words.length && after.address && before.address)
    .map(([before, after]) =>
      Number(floor(_place(after.address) - _place(before.address), BigInt(before.words.length))),
    );
  const commands = skipped.map((line) => _COMMAND.exec(line.body)).filter(Boolean);
  const fitting = [1, 2, 4, 8].filter((each) => each * first.words.length === size);
  for (const known of [steps, commands.map((match) => _GDB_SIZES[match[1]]), fitting]) {
    const each = [...new Set(known)];
    if (each.length === 1 && [1, 2, 4, 8].includes(each[0])) return each[0];
  }
  throw new DecodeError(
    `line ${first.number}: decimal or octal words found, whose size one line does not tell:` +
      " the command (x/16db) expected before it, or hex words (x/16xb)",
  );
}

function _data(each, mark, width, reverse) {
  const isOctal = each.mark === " " && each.words.length && each.words[0].length in _OCTAL_WORDS;
  if (each.base !== 10 && !isOctal) return dataOf(each, reverse);
  const octal = isOctal || each.words.some((word) => word.length > 1 && word[0] === "0");
  const parts = each.words.map((word) => {
    const digits = word.replace(/^-/, "");
    if (!(octal ? /^[0-7]+$/ : /^[0-9]+$/).test(digits)) return null;
    const value = BigInt(octal ? `0o${digits}` : digits);
    return bytesOf(word.startsWith("-") ? -value : value, width);
  });
  if (!parts.includes(null)) return concatenated(parts);
  throw new DecodeError(
    `line ${each.number}: ${brief(each.words.join(" "))} found,` +
      ` ${octal ? "octal" : "decimal"} words of ${countOf(width, "byte")} expected`,
  );
}

/** Whether words are little-endian, whether that is certain, and what is to say of it. */
function _order(mark, rows, width) {
  if (_hasOctal(mark, rows) || rows.some((each) => each.base === 10) || width === 1) {
    return [true, true, width === 1 ? _contradictions(rows) : []];
  }
  const isOpen = mark === ":" || mark === "";
  const usual = !isOpen || rows.some((each) => each.isLog) || width >= 4;
  const fits = (order) => !_wrongTexts(rows, order).length;
  const [fitsUsual, fitsOther] = [fits(usual), fits(!usual)];
  if (!fitsUsual && fitsOther) {
    const said = `the text column contradicts ${orderOf(usual, width)}`;
    return [!usual, true, [`${said}: read as ${orderOf(!usual, width)}`]];
  }
  if (!fitsUsual) return [usual, false, _contradictions(rows)];
  const differ = rows.some((each) => !equal(dataOf(each, true), dataOf(each, false)));
  if (!differ || !fitsOther || !isOpen) return [usual, true, []];
  const said = `read as ${orderOf(usual, width)}; no text column tells, they might be`;
  return [usual, false, [`${said} ${orderOf(!usual, width)}`]];
}

const _wrongTexts = (rows, order) =>
  rows.filter((each) => each.text !== null && each.words.length && !agrees(dataOf(each, order), each.text));

function _contradictions(rows) {
  const [wrong] = _wrongTexts(rows, true);
  if (!wrong) return [];
  return [`line ${wrong.number}: the text column ${brief(wrong.text)} is not that of the bytes`];
}

const _hasOctal = (mark, rows) =>
  mark === " " && rows.some((each) => each.words.length && each.words[0].length in _OCTAL_WORDS);

/** %p of a kernel prints a hash of 16 digits: no line follows the one before. */
function _areHashed(mark, rows, parts) {
  const held = rows.map((each, at) => [each, parts[at]]).filter(([, part]) => part.length);
  return (
    mark === ":" &&
    held.length > 1 &&
    rows.every((each) => each.address.length === 16) &&
    _pairs(held).every(([[before, part], [after]]) =>
      _place(after.address) !== _place(before.address) + BigInt(part.length))
  );
}

/** Lines without addresses, up to where other text shows that another dump begins. */
function _concatenated(parts, breaks, size) {
  let length = 0;
  for (let at = 0; at < parts.length; at++) {
    const between = breaks.get(at);
    if (between && (leftOf(between.body).endsWith(":") || (length >= size && size > 0))) {
      const note = `line ${between.number}: ${brief(between.body)} found after a dump`;
      const data = concatenated(parts.slice(0, at));
      return { address: null, data, gaps: [], notes: [`${note}: another begins there, not read`] };
    }
    length += parts[at].length;
  }
  return { address: null, data: concatenated(parts), gaps: [], notes: [] };
}

/** By hex addresses, or by those that od may have printed: a radix that leaves no gap. */
function _byAddress(mark, rows, parts, width, size) {
  const found = [];
  let failed = null;
  for (const radix of _radixes(mark, rows, width)) {
    const prefix = { 8: "0o", 10: "", 16: "0x" }[radix];
    const placed = rows.map((each, at) => ({
      number: each.number,
      address: each.address ? BigInt(prefix + each.address) : null,
      data: parts[at],
      width,
    }));
    try {
      found.push(joinRows(placed, (address) => prefix + address.toString(radix)));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      failed ??= error;
    }
  }
  if (!found.length) throw failed;
  const withoutNotes = found.filter((joined) => !joined.notes.length);
  const clean = withoutNotes.length ? withoutNotes : found.slice(0, 1);
  const best = clean.find((joined) => joined.data.length === size) ?? clean[0];
  const lengths = [...new Set(clean.map((joined) => joined.data.length))]
    .filter((length) => length !== best.data.length)
    .sort((a, b) => a - b);
  if ((size && best.data.length === size) || !lengths.length) return best;
  const note =
    `read as ${best.data.length} bytes; addresses of another radix would make it ${lengths.join(" or ")}`;
  return { ...best, notes: [...best.notes, note] };
}

function _radixes(mark, rows, width) {
  const addresses = rows.map((each) => each.address).filter(Boolean);
  const digits = addresses.join("").toLowerCase();
  if (mark === ":" && /^[0-9]+$/.test(digits)) return [16, 10];
  if (mark !== " " || !addresses.every((text) => text.length === _OCTAL_DIGITS)) return [16];
  const likely = width === 2 && !_hasOctal(mark, rows) ? [16, 8, 10] : [8, 16, 10];
  return likely.filter((radix) => [...digits].every((digit) => parseInt(digit, 16) < radix));
}

function _form(mark, rows) {
  if ((mark === ":" || mark === "") && rows.some((each) => each.isLog)) {
    return "lines of print_hex_dump in a log";
  }
  if (mark === ":" && rows.some((each) => each.base === 2)) return "lines of xxd -b";
  return {
    "0x:": "lines of a debugger",
    ":": "lines of xxd or print_hex_dump",
    "::": "lines of rd",
    ":0x": "lines of QEMU's xp",
    "`": "lines of WinDbg",
    " ": "lines of hexdump or od",
    "": "lines of hex",
  }[mark];
}
