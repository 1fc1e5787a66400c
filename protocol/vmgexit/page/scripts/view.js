// How a value is drawn: its lanes of bits, its bytes, its fields. Every text becomes a text node, and never
// markup, whatever was pasted.

const LANE = 32; // bits of a lane of a drawing
const SHOWN_ROWS = 1500; // fields that are shown at once
const SHOWN_BYTES = 32; // of longer fields of bytes

/** An element with its attributes and children; what is no element is text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return made;
}

const place = (offset) => `0x${offset.toString(16).padStart(3, "0")}`;

/** The bits of a field as specifications write them; "" where it is whole bytes. */
function bitsText(leaf) {
  if (!leaf.owner.of.bits) return "";
  const low = leaf.part.field.at ?? 0;
  const high = low + leaf.part.field.width - 1;
  return high > low ? `${high}:${low}` : `${low}`;
}

/** The value as a person edits it. */
function editable(leaf) {
  const { held } = leaf.part;
  if (typeof held === "boolean") return held ? "1" : "0";
  if (held instanceof Uint8Array) {
    if (!held.some(Boolean)) return "0";
    return hexOf(held.slice(0, SHOWN_BYTES), " ") + (held.length > SHOWN_BYTES ? " …" : "");
  }
  return held ? shown(held) : "0";
}

/** What is to say beside a value: a code's name, the numbers of a bitmap, the bytes of a field. */
function besides({ field, held }) {
  const code = codeOf(field, held);
  if (code) return code[1] ? `${code[0]} (${code[1]})` : code[0];
  if (field.kind === "bitmap" && held) return rangesText(held, field.first ?? 0);
  if (held instanceof Uint8Array && held.length > SHOWN_BYTES) return countOf(held.length, "byte");
  return "";
}

/** `0x20-0x23, 0x41`. */
function rangesText(bitmap, first) {
  const bits = bitmap.toString(2);
  const found = [];
  for (let at = 0; at < bits.length; at++) {
    if (bits[bits.length - 1 - at] !== "1") continue;
    const last = found[found.length - 1];
    if (last && last[1] === first + at - 1) last[1] = first + at;
    else found.push([first + at, first + at]);
  }
  return found.map(([from, to]) => (from === to ? shown(from) : `${shown(from)}-${shown(to)}`)).join(", ");
}

/** The bits that an edited text means for a leaf. Throws DecodeError with one line. */
function bitsOf(leaf, text) {
  const { field, held } = leaf.part;
  text = trimmed(text);
  if (held instanceof Uint8Array) {
    if (text === "0") return 0n;
    const data = readDump(text, held.length).data;
    if (data.length === held.length) return numberOf(data);
    throw new DecodeError(`${leaf.path}: ${countOf(data.length, "byte")} found, ${held.length} expected`);
  }
  const named = field.codes ? DATA.codes[field.codes].find(([, name]) => name === text.toUpperCase()) : null;
  const number = named ? BigInt(named[0]) : numberOf(numberIn(text).data);
  if (number <= maskOf(leaf.width)) return number;
  throw new DecodeError(`${leaf.path}: ${shown(number)} does not fit ${countOf(leaf.width, "bit")}`);
}

// --- Drawings -------------------------------------------------------------------------------------

/** A word as lanes of bits, the highest on the left. */
function lanesOf(value, prefix = "") {
  const bits = 8 * value.data.length;
  const lanes = element("div", { class: "lanes", "aria-hidden": "true" });
  for (let top = bits; top > 0; top -= LANE) {
    const low = Math.max(0, top - LANE);
    const lane = element("div", { class: "lane" });
    lane.style.gridTemplateColumns = `repeat(${top - low}, minmax(0, 1fr))`;
    for (const { field, held } of value.parts) {
      const at = field.at ?? 0;
      const [from, to] = [Math.max(at, low), Math.min(at + field.width, top)];
      if (from >= to) continue;
      const range = to - from > 1 ? `${to - 1}:${from}` : `${from}`;
      const kind = isZero(held) ? (field.rule ? "reserved" : "") : "set";
      const name = field.rule ? "" : field.spec || field.name;
      const box = element("span", { class: kind, title: `${field.name}, bits ${range}`, "data-path": prefix + field.name },
        element("small", {}, to - from > 1 || top - low <= 16 ? range : ""), name || "\u00a0");
      box.style.gridColumn = `${top - to + 1} / ${top - from + 1}`;
      lane.append(box);
    }
    lanes.append(lane);
  }
  return lanes;
}

/** The bytes in rows, those of neighbouring fields told apart; rows of zeros are left out. */
function bytesView(value, leaves, gaps, changed) {
  const width = matchMedia("(max-width: 560px)").matches ? 8 : 16;
  const owner = new Array(value.data.length);
  leaves.forEach((leaf, number) => {
    for (let at = leaf.start >> 3; at < (leaf.start + leaf.width + 7) >> 3; at++) owner[at] ??= number;
  });
  const isMissing = (at) => gaps.some(([from, to]) => from <= at && at < to);
  const view = element("div", { class: "bytes", role: "img", "aria-label": `${countOf(value.data.length, "byte")} in rows` });
  let [quiet, said] = ["", false];
  for (let start = 0; start < value.data.length; start += width) {
    const row = value.data.subarray(start, start + width);
    const kind = _quietKind(row, start, isMissing, changed);
    const isRepeated = kind && kind === quiet && start + width < value.data.length;
    if (isRepeated && !said) view.append(element("div", { class: "row faint" }, `* ${kind}`));
    said = isRepeated;
    quiet = kind;
    if (isRepeated) continue;
    const cells = element("span", { class: "cells" });
    row.forEach((byte, at) => {
      const where = start + at;
      const leaf = leaves[owner[where]];
      const kinds = [owner[where] % 2 && "odd", !byte && "zero", changed.has(where) && "new"];
      cells.append(element("span", {
        class: kinds.filter(Boolean).join(" "), "data-path": leaf?.path ?? null, title: leaf?.path ?? null,
      }, isMissing(where) ? "--" : byte.toString(16).padStart(2, "0")));
    });
    view.append(element("div", { class: "row" }, element("span", { class: "at" }, place(start)), cells));
  }
  return view;
}

/** What a row of bytes is of which many may stand in a row; "" for any other. */
function _quietKind(row, start, isMissing, changed) {
  const places = Array.from(row, (_, at) => start + at);
  if (places.every(isMissing)) return "not in the dump";
  return places.some((at) => isMissing(at) || changed.has(at)) || !isZero(row) ? "" : "zeros";
}

// --- Fields ---------------------------------------------------------------------------------------

/** The table of fields. `edit(leaf, text)` is told what a person typed. */
function fieldsTable(leaves, gaps, onlySet, edit) {
  const missing = leaves.filter((leaf) => missingIn(leaf, gaps)).length;
  const wanted = leaves.filter((leaf) => !onlySet || (!isZero(leaf.part.held) && !missingIn(leaf, gaps)));
  const body = element("tbody", {});
  for (const leaf of wanted.slice(0, SHOWN_ROWS)) body.append(_fieldRow(leaf, gaps, edit));
  const more = wanted.length - SHOWN_ROWS;
  const caption = `${wanted.length} of ${countOf(leaves.length, "field")}` +
    (onlySet ? ": those that are not zero" : "") + (missing ? `; ${missing} are not in the dump` : "") + (more > 0 ? `; the first ${SHOWN_ROWS} are here` : "");
  const heads = ["Place", "Field", "Value", "Meaning"].map((name) => element("th", { scope: "col" }, name));
  return element("table", { class: "fields" }, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, heads)), body);
}

/** A path that may be broken between its words. */
const breakable = (path) => path.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]);

function _fieldRow(leaf, gaps, edit) {
  const { field, held } = leaf.part;
  const bits = bitsText(leaf);
  const missing = missingIn(leaf, gaps);
  const input = element("input", {
    type: "text", value: missing ? "" : editable(leaf), placeholder: missing ? "not in the dump" : null,
    spellcheck: "false", autocomplete: "off", "data-path": leaf.path,
    "aria-label": `${leaf.path}${bits ? `, bits ${bits}` : ""}`, "aria-describedby": "about",
    onchange: (event) => edit(leaf, event.target.value, event.target),
  });
  if (held instanceof Uint8Array && held.length > SHOWN_BYTES && held.some(Boolean)) input.readOnly = true;
  const said = missing ? "" : besides(leaf.part);
  const reserved = field.rule ? `; ${field.rule === "zero" ? "must be zero" : "ignored"}` : "";
  return element("tr", { class: isZero(held) ? "" : "set", "data-path": leaf.path },
    element("td", { class: "place mono" }, place(leaf.owner.of.bits ? leaf.part.at : leaf.start >> 3), bits ? `[${bits}]` : ""),
    element("td", { class: "path" }, breakable(leaf.path)),
    element("td", { class: "value" }, input, said ? element("span", { class: "name" }, said) : ""),
    element("td", { class: "meaning" }, field.meaning.split(". ")[0] + reserved));
}

/** All that is known of a field. */
function aboutField(leaf, gaps) {
  const { field, held } = leaf.part;
  const facts = [
    ["Place", `byte ${place(leaf.start >> 3)}${bitsText(leaf) ? `, bits ${bitsText(leaf)}` : `, ${countOf(bytesOfField(field), "byte")}`}`],
    ["Specification", field.spec ?? ""],
    ["Value", missingIn(leaf, gaps) ? "not in the dump" : `${editable(leaf)} ${besides(leaf.part)}`],
    ["Right value", field.expected ?? ""],
    ["Reserved", field.rule ? (field.rule === "zero" ? "must be zero" : "ignored") : ""],
    ["Access", field.access ?? ""],
    ["Clause", field.clause ?? leaf.owner.of.clause ?? ""],
    ["Of", leaf.owner.key],
    ["Source", leaf.owner.of.source],
  ].filter(([, text]) => text);
  const codes = field.codes ? DATA.codes[field.codes] : [];
  const list = codes.slice(0, 40).map(([value, name, meaning]) =>
    element("li", {}, `${shown(BigInt(value))} ${name}${meaning ? `: ${meaning}` : ""}`, BigInt(held) === BigInt(value) ? " ←" : ""));
  return [
    element("h3", {}, leaf.path), element("p", {}, field.meaning),
    element("dl", {}, facts.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)])),
    list.length ? element("ul", { class: "list" }, list) : "",
    codes.length > 40 ? element("p", { class: "faint" }, `and ${codes.length - 40} more codes`) : "",
    leaf.owner.of.bits ? lanesOf(leaf.owner, leaf.path.slice(0, -field.name.length)) : "",
  ];
}

// --- What a page of a GHCB asks -------------------------------------------------------------------

const VALID_END = 0x3f0; // fields from here on have no valid bit

const isValid = (value, name) => {
  const part = value.parts.find((each) => each.field.name === name);
  return Boolean((reach(value, "valid_bitmap") >> BigInt(part.at >> 3)) & 1n);
};

/** What a number is as the code of an exit; "" where it is none. */
function exitText(data) {
  const row = data.length > 8 ? null : DATA.exits[String(numberOf(data))];
  return row ? `As the code of an exit: ${row.name}, ${row.meaning}.` : "";
}

/** What the exit of a GHCB page means: [heading, list of lines]. */
function exitOf(value) {
  const code = reach(value, "sw_exit_code");
  const row = DATA.exits[String(code)];
  const isAnswer = isValid(value, "sw_exit_info_1") && !isValid(value, "sw_exit_code");
  const valid = value.parts.filter((part) => !part.field.rule && part.at < VALID_END && isValid(value, part.field.name));
  const lines = [`marked valid: ${valid.map((part) => part.field.name).join(", ") || "nothing"}`];
  if (!row) return [`Exit ${shown(code)}: no exit that is known`, lines];
  if (row.direction) lines.push(`not for a GHCB: ${row.direction}`);
  if (isAnswer) {
    lines.push(`an answer of the host; it returns ${(row.returns ?? []).join(", ") || "no further field"}`);
  } else {
    lines.push(`besides, a request needs ${(row.needs ?? []).join(", ") || "no further field"}`);
    for (const [name, word] of [["sw_exit_info_1", row.info1], ["sw_exit_info_2", row.info2]]) {
      lines.push(`${name}: ${word.meaning}${word.of ? `; as ${word.of}: ${wordText(word.of, reach(value, name))}` : ""}`);
    }
  }
  const facts = [`since version ${row.since}`, row.clause && `clause ${row.clause}`, `source: ${row.source}`];
  lines.push(facts.filter(Boolean).join("; "));
  if (row.buffer) lines.push(`the buffer holds ${row.buffer}`);
  return [`Exit ${shown(code)} ${row.name}: ${row.meaning}`, lines];
}

/** The fields of a word that are set, in a line. */
function wordText(key, number) {
  const value = decode(key, bytesOf(number, structureOf(key).size));
  const set = [...leavesOf(value)].filter((leaf) => !isZero(leaf.part.held));
  return set.map((leaf) => `${leaf.path} ${editable(leaf)} ${besides(leaf.part)}`.trim()).join(", ") || "no field is set";
}
