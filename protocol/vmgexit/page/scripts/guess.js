// Which structures bytes could be, the likeliest first: by their number, by what a structure must begin
// with, by the name that the text has, and by how many bits its rules fix. `vmgexit explain` judges pages by more.

const _HALF = 128; // bits that rules fix, and that make a guess half as doubtful
const _TELLING = 8; // one byte of so many that is not zero is enough to tell
const _PART = 256; // bytes that are enough to judge a structure by of which a dump has the beginning
const _CUT = 0.7; // what such a guess is worth

/** [{key, score, reason}], the likeliest first. `isPart`: the data may be the beginning of more. */
function guessesFor(data, text = "", isPart = false) {
  const plainText = ` ${text.toLowerCase().replace(/[^a-z0-9]+/g, " ")} `;
  const found = [];
  for (const [key, of] of Object.entries(DATA.structures)) {
    if (of.revision) continue;
    const isNamed = plainText.includes(` ${of.name.replace(/-/g, " ")} `);
    const guess = _guess(key, of, data, isNamed) ?? (isPart ? _guessOfPart(key, of, data, isNamed) : null);
    if (guess) found.push({ ...guess, key });
  }
  return found.sort((a, b) => b.score - a.score);
}

function _guess(key, of, data, isNamed, broken = null) {
  const begins = _beginning(of);
  if (begins) {
    const starts = data.length >= (of.size ?? 0) && equal(data.subarray(0, begins.length), begins);
    if (starts && accepts(of, data.length)) return { score: 0.95, reason: "begins as it must" };
  }
  if (!accepts(of, data.length) || of.whole) return null;
  const named = isNamed ? 0.3 : 0;
  const size = `${countOf(of.size, "byte")}, as many as it has`;
  const reason = isNamed ? `${size}; the text names it` : size;
  const problems = broken ?? problemsOf(_decoded(key, data, 0)).length;
  if (problems) return { score: named + 0.1, reason: `${size}, and ${countOf(problems, "broken rule")}` };
  const set = data.reduce((sum, byte) => sum + (byte ? 1 : 0), 0);
  const bits = _ruledBits(of);
  if (!set || !bits) return { score: named + (set ? 0.15 : 0.1), reason };
  const said = Math.min(1, (_TELLING * set) / of.size);
  return { score: named + 0.2 + 0.6 * (1 - 2 ** (-bits / _HALF)) * said, reason: `${reason}; keeps its rules` };
}

/** A guess by the beginning of a structure, whatever the rest is. */
function _guessOfPart(key, of, data, isNamed) {
  if (of.whole || data.length < _PART || data.length >= of.size) return null;
  const whole = new Uint8Array(of.size);
  whole.set(data);
  const gap = [data.length, of.size];
  const guess = _guess(key, of, whole, isNamed, certainProblems(_decoded(key, whole, 0), [gap]).length);
  return { score: _CUT * guess.score, reason: `${data.length} of its ${of.size} bytes are there` };
}

/** The bytes that a structure must begin with; null where there are none. */
function _beginning(of) {
  const first = of.fields[0];
  if (first.kind === "struct") return _beginning(structureOf(first.of));
  return first.kind === "bytes" && first.value !== undefined ? unhexed(first.value) : null;
}

/** Bits that a rule of the declaration fixes: reserved ones, and those that known codes leave. */
function _ruledBits(of) {
  let total = 0;
  for (const field of of.fields) {
    if (field.of) total += _ruledBits(structureOf(field.of)) * (field.count ?? 1);
    else if (field.rule || field.value !== undefined) total += field.width;
    else if (field.codes) total += Math.max(0, field.width - Math.log2(DATA.codes[field.codes].length || 1));
  }
  return Math.floor(total);
}
