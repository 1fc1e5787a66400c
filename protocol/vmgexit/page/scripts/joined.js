// Joining the lines of a dump, each at the place that its address says. As read/joined.py has it.

/** The rows in one piece; `shownAs` writes an address. */
function joinRows(rows, shownAs) {
  const notes = [];
  const lines = _linesOf(rows, shownAs, notes);
  if (!lines.length) return { address: 0n, data: new Uint8Array(0), gaps: [], notes };
  const base = lines.reduce((least, line) => (line.address < least ? line.address : least), lines[0].address);
  const sorted = [...lines].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  const stop = sorted.reduce((end, line) => Math.max(end, Number(line.address - base) + line.data.length), 0);
  if (stop > LIMIT) throw new DecodeError(`${stop} bytes found, at most ${LIMIT} expected`);
  const data = new Uint8Array(stop);
  const gaps = [];
  let end = 0;
  for (const line of sorted) {
    const at = Number(line.address - base);
    const known = end - at;
    if (known < 0) {
      gaps.push([end, at]);
      notes.push(
        `${_foundAt(line, shownAs)}, ${shownAs(base + BigInt(end))} expected: a gap of ${countOf(-known, "byte")}`,
      );
      end = at;
    } else if (known && line.data.length) {
      _checkOverlap(line, data.subarray(at, Math.min(end, at + line.data.length)), shownAs, lines);
    }
    data.set(line.data, at);
    end = Math.max(end, at + line.data.length);
  }
  return { address: base, data: data.subarray(0, end), gaps, notes };
}

/** The lines of the first dump, those that a `*` stands for among them, in their order. */
function _linesOf(rows, shownAs, notes) {
  const lines = [];
  let last = null;
  let star = null;
  let [first, end] = [0n, 0n];
  for (const row of rows) {
    if (row.address === null) {
      if (!last) {
        throw new DecodeError(`line ${row.number}: '*' found, a line to repeat expected first`);
      }
      star = row;
      continue;
    }
    const line = { number: row.number, address: row.address, data: row.data };
    if (!lines.length) first = row.address;
    if (star && row.address <= end) {
      notes.push(`line ${star.number}: '*' found, which stands for no line here`);
    }
    if (star && last && row.address > end) {
      const repeated = _repeated(last.data, _claimed(star, row.address - end, end - first));
      lines.push({ number: star.number, address: end, data: repeated });
      end += BigInt(repeated.length);
    }
    star = null;
    const again = lines.length ? _beginsAgain(line, lines, end) : "";
    if (again) {
      notes.push(`${_foundAt(line, shownAs)}${again}: another dump begins there, not read`);
      return lines;
    }
    if (lines.length && row.address < end) {
      if (!row.data.length) {
        _cutLast(lines, row.address, last, shownAs, row.number);
        continue;
      }
      const expected = `${_foundAt(line, shownAs)}, ${shownAs(end)} expected`;
      notes.push(`${expected}: a line out of order, or there twice; put in its place`);
    }
    lines.push(line);
    const stop = row.address + BigInt(row.data.length);
    if (stop > end) end = stop;
    if (row.data.length) last = row;
  }
  if (star) throw new DecodeError(`line ${star.number}: '*' found, an address expected after it`);
  return lines;
}

function _repeated(data, length) {
  const made = new Uint8Array(Math.floor(length / data.length) * data.length);
  for (let at = 0; at < made.length; at += data.length) made.set(data, at);
  return made;
}

function _claimed(star, missing, known) {
  if (known + missing > BigInt(LIMIT)) {
    throw new DecodeError(`line ${star.number}: '*' found for ${missing} bytes, at most ${LIMIT} expected`);
  }
  return Number(missing);
}

function _beginsAgain(line, lines, end) {
  const first = lines[0].address;
  if (line.address > end + BigInt(FAR) || line.address < first - BigInt(FAR)) {
    return ", far from the lines before";
  }
  return line.address === first && line.data.length && lines.length > 1 ? " again" : "";
}

/** The closing address: it says where the last word ends that was filled up with zeros. */
function _cutLast(lines, at, last, shownAs, number) {
  const line = lines[lines.length - 1];
  const stop = line.address + BigInt(line.data.length);
  const extra = Number(stop - at);
  if (!(0 < extra && extra < (last ? last.width : 1)) || line.data.slice(-extra).some(Boolean)) {
    throw new DecodeError(
      `line ${number}: address ${shownAs(at)} found, ${shownAs(stop)} expected: the lines before end there`,
    );
  }
  lines[lines.length - 1] = { ...line, data: line.data.slice(0, -extra) };
}

function _checkOverlap(line, before, shownAs, lines) {
  const byte = (value) => `0x${value.toString(16).padStart(2, "0")}`;
  for (let at = 0; at < Math.min(before.length, line.data.length); at++) {
    if (line.data[at] === before[at]) continue;
    _checkLengths(line, shownAs, lines);
    throw new DecodeError(
      `${_foundAt(line, shownAs)}, an overlap: ${byte(line.data[at])} found at` +
        ` ${shownAs(line.address + BigInt(at))}, where another line has ${byte(before[at])}`,
    );
  }
}

function _checkLengths(line, shownAs, lines) {
  const usual = mostCommon(lines.map((each) => each.data.length));
  for (const each of lines) {
    if (each.data.length > usual && each.address + BigInt(usual) === line.address) {
      throw new DecodeError(
        `line ${each.number}: ${countOf(each.data.length, "byte")} found, ${usual} expected:` +
          ` line ${line.number} begins at ${shownAs(line.address)}`,
      );
    }
  }
}

const _foundAt = (line, shownAs) => `line ${line.number}: address ${shownAs(line.address)} found`;
