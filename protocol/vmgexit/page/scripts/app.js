// The page itself: what was pasted becomes a value; edits change its bytes; a link carries them.

const MOST_TEXT = 4 << 20; // letters of a pasted text
const MOST_BYTES = 1 << 20; // bytes that are drawn, and that a file may have
const MANY = 40; // fields from which on only those are shown that are set
const GUESSES = 6;

const byId = (id) => document.getElementById(id);
const state = { a: null, b: null, changed: new Set(), onlySet: null, leaves: new Map(), marked: "" };

function start() {
  DATA = JSON.parse(byId("data").textContent);
  const select = byId("structure");
  for (const key of Object.keys(DATA.structures).sort()) select.append(element("option", { value: key }, key));
  for (const [title, key, text] of DATA.examples) {
    byId("examples").append(element("button", { type: "button", onclick: () => show(text, key) }, title));
  }
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(read, 150);
  };
  for (const id of ["text-a", "text-b"]) byId(id).addEventListener("input", later);
  for (const id of ["structure", "number"]) byId(id).addEventListener("change", read);
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  byId("file").addEventListener("change", openFile);
  byId("compare").addEventListener("click", toggleCompare);
  byId("share").addEventListener("click", share);
  byId("clear").addEventListener("click", () => show("", ""));
  for (const name of ["focusin", "pointerover", "pointerdown"]) byId("result").addEventListener(name, mark);
  addEventListener("hashchange", fromLink);
  byId("main").hidden = false;
  fromLink();
}

function show(text, key) {
  byId("text-a").value = text;
  byId("structure").value = key;
  byId("number").checked = false;
  read();
}

function alarm(text) {
  byId("alarm").textContent = text;
  byId("alarm").hidden = !text;
}

// --- What was pasted ------------------------------------------------------------------------------

/** Read both texts and draw what they are; what cannot be read is one line. */
function read() {
  alarm("");
  state.changed = new Set();
  state.onlySet = null;
  state.a = readText("a", byId("structure").value);
  state.b = byId("input-b").hidden ? null : readText("b", state.a ? state.a.value.key : byId("structure").value);
  draw();
}

/** {value, gaps, guesses} of a text; null where it is empty or cannot be read, which is said. */
function readText(which, key) {
  const text = byId(`text-${which}`).value;
  const said = byId(`said-${which}`);
  said.classList.remove("wrong");
  said.textContent = "";
  if (!trimmed(text)) return null;
  try {
    if (text.length > MOST_TEXT) throw new DecodeError(`${text.length} letters found, at most ${MOST_TEXT} are read here`);
    return understandText(text, key, said);
  } catch (error) {
    said.classList.add("wrong");
    said.textContent = error instanceof DecodeError ? error.message + numberHint(text, key) : `this page failed: ${brief(String(error))}`;
    return null;
  }
}

/** Digits that are too few bytes for a word may be meant as a number. */
function numberHint(text, key) {
  const values = /^[\s0-9a-fA-F_]+$/.test(text) ? tokensOf(text) : null;
  const isWord = !key || structureOf(key).size <= WORD;
  return values?.length === 1 && isWord && !byId("number").checked ? "; if it is a number, mark 'one number' or write 0x before it" : "";
}

function understandText(text, key, said) {
  const isNumber = byId("number").checked;
  const first = given(text, key || null, isNumber);
  if (first.data.length > MOST_BYTES) {
    throw new DecodeError(`${first.data.length} bytes found, at most ${MOST_BYTES} are drawn here`);
  }
  const guesses = key ? [] : guessesOf(first, text);
  if (!key && !guesses.length) {
    throw new DecodeError(`${first.said}: no structure of that size is known; choose one`);
  }
  const chosen = key || guesses[0].key;
  const read = key ? first : given(text, chosen, isNumber);
  const value = decode(chosen, read.data);
  const held = read.data.length - read.gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  const part = read.gaps.length ? [`${held} of the ${read.data.length} bytes of ${chosen} are in the dump`] : [];
  said.textContent = [`read as ${read.said}`, ...part, ...[...read.dump.notes, ...otherNotes(read, value)].map((note) => `note: ${note}`)].join("\n");
  return { value, gaps: read.gaps, guesses: guesses.slice(0, GUESSES) };
}

/** What else the same digits could be, where only one of the two readings breaks no rule. */
function otherNotes(read, value) {
  const one = read.dump.values.length === 1 && value.data.length <= WORD ? otherReading(read.dump.values[0]) : null;
  const data = one ? one.data : read.dump.other;
  if (!accepts(value.of, data.length) || equal(data, value.data)) return [];
  const name = one ? saidOf(one) : "words of the other order";
  const [ours, others] = [problemsOf(value), problemsOf(decode(value.key, data))];
  if (ours.length && !others.length) return [`as ${name} it would break no rule`];
  return others.length && !ours.length ? [`as ${name} it would break a rule: ${others[0].text}`] : [];
}

/** A number may fill any structure of up to 8 bytes; other bytes are as long as what they are. */
function guessesOf(read, text) {
  const [one] = read.dump.values.length === 1 ? read.dump.values : [];
  if (!one || one.kind !== "number") return guessesFor(read.data, text, read.dump.isRows);
  const widest = guessesFor(sized(one, WORD), text);
  const own = read.data.length < WORD ? guessesFor(read.data, text) : [];
  const found = [...widest, ...own].sort((a, b) => b.score - a.score);
  const isMessage = ({ key }) => key === DATA.messages.of;
  return messageOf(decode(DATA.messages.of, sized(one, WORD)))
    ? [...found.filter(isMessage), ...found.filter((each) => !isMessage(each))]
    : found;
}

async function openFile(event) {
  const [file] = event.target.files;
  if (!file) return;
  if (file.size > MOST_BYTES) {
    alarm(`${file.name}: ${file.size} bytes found, at most ${MOST_BYTES} are read here`);
    return;
  }
  const data = new Uint8Array(await file.arrayBuffer());
  show(textOf(data) ?? hexLines(data), byId("structure").value);
}

/** The text that a file holds; null where it holds bytes. */
function textOf(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    return /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function hexLines(data) {
  const lines = [];
  for (let at = 0; at < data.length; at += 32) lines.push(hexOf(data.subarray(at, at + 32)));
  return lines.join("\n");
}

function toggleCompare() {
  const isOn = byId("input-b").hidden;
  byId("input-b").hidden = !isOn;
  byId("compare").setAttribute("aria-pressed", String(isOn));
  read();
  if (isOn) byId("text-b").focus();
}

// --- What is drawn --------------------------------------------------------------------------------

function draw() {
  const result = byId("result");
  result.replaceChildren();
  result.hidden = !state.a;
  if (!state.a) return;
  const { value, gaps, guesses } = state.a;
  const leaves = [...leavesOf(value)];
  state.leaves = new Map(leaves.map((leaf) => [leaf.path, leaf]));
  state.marked = "";
  state.onlySet ??= leaves.length > MANY && leaves.some((leaf) => !isZero(leaf.part.held));
  const about = element("aside", { class: "about", id: "about", "aria-label": "About the field" },
    element("p", { class: "faint" }, "Point at a field or move to it: what it means stands here."));
  result.append(...headOf(value, guesses), ...partsOf(value), problemsView(value, gaps),
    ...(state.b ? [differencesView(state.a, state.b)] : []),
    element("div", { class: "decoded" },
      element("div", {}, value.of.bits ? lanesOf(value) : "", onlySetBox(), fieldsTable(leaves, gaps, state.onlySet, edit),
        element("h3", {}, "Bytes"), bytesView(value, leaves, gaps, state.changed)),
      about));
}

function headOf(value, guesses) {
  const { of, key, data } = value;
  const facts = [countOf(data.length, "byte"), of.clause && `clause ${of.clause}`, of.source && `source: ${of.source}`];
  const others = guesses.slice(1).map((guess) =>
    element("button", { type: "button", title: guess.reason, onclick: () => choose(guess.key) }, guess.key));
  return [
    element("h2", {}, key), element("p", {}, of.title.split(". ")[0]), element("p", { class: "faint" }, facts.filter(Boolean).join("; ")),
    guesses.length ? element("p", { class: "guesses" }, `Guessed: ${guesses[0].reason}. `, others.length ? "It may also be " : "", others) : "",
    guesses.length && exitText(data) ? element("p", {}, exitText(data)) : "",
  ].filter(Boolean);
}

function choose(key) {
  byId("structure").value = key;
  read();
  byId("structure").focus();
}

/** A GHCB's exit; a word by its own code; what a list points to. */
function partsOf(value) {
  const parts = [];
  if (value.key === "ghcb") {
    const [heading, lines] = exitOf(value);
    parts.push(element("h3", {}, heading), element("ul", { class: "list" }, lines.map((line) => element("li", {}, line))));
  }
  const message = messageOf(value);
  if (message) parts.push(element("h3", {}, `Message ${message.key}: ${message.of.title.split(". ")[0]}`), lanesOf(message), setList(message));
  for (const body of bodiesOf(value).slice(0, 64)) {
    const inner = bodyValue(body);
    parts.push(element("h3", {}, `${body.path} points to ${body.name}: ${countOf(body.length, "byte")} at ${place(body.offset)}`),
      inner ? setList(inner) : element("p", { class: "mono" }, hexOf(body.held.slice(0, 64), " ")));
  }
  return parts;
}

const setList = (value) => element("ul", { class: "list" }, [...leavesOf(value)]
  .filter((leaf) => !isZero(leaf.part.held)).slice(0, 64)
  .map((leaf) => element("li", {}, element("code", {}, `${leaf.path} = ${editable(leaf)}`), ` ${besides(leaf.part)} `,
    element("span", { class: "faint" }, leaf.part.field.meaning))));

function problemsView(value, gaps) {
  const found = certainProblems(value, gaps);
  const unjudged = [...unjudgedIn(value)];
  const list = found.slice(0, 100).map((problem) => element("li", { class: "bad" }, problem.text));
  const more = found.length > 100 ? [element("li", {}, `and ${found.length - 100} more`)] : [];
  return element("div", {},
    found.length ? element("h3", {}, `${countOf(found.length, "broken rule")}; it was read all the same`)
      : unjudged.length ? "" : element("p", { class: "good" }, gaps.length ? "What is there breaks no rule." : "It breaks no rule."),
    found.length ? element("ul", { class: "list" }, list, more) : "",
    unjudged.length ? element("p", { class: "faint" }, "Not judged here: the rules between the fields of " +
      `${unjudged.join(", ")}. The command line judges them: vmgexit decode ${value.key} --strict.`) : "");
}

function onlySetBox() {
  const box = element("input", { type: "checkbox", id: "only-set", onchange: (event) => {
    state.onlySet = event.target.checked;
    draw();
    byId("only-set").focus();
  } });
  box.checked = state.onlySet;
  return element("label", { class: "check" }, box, " only fields that are not zero");
}

function differencesView(one, other) {
  const theirs = new Map([...leavesOf(other.value)].map((leaf) => [leaf.path, leaf]));
  const rows = [];
  for (const leaf of leavesOf(one.value)) {
    const with_ = theirs.get(leaf.path);
    if (!with_ || missingIn(leaf, one.gaps) || missingIn(with_, other.gaps)) continue;
    const [a, b] = [leaf.part.held, with_.part.held];
    const same = a instanceof Uint8Array ? equal(a, b) : a === b;
    if (!same) rows.push([leaf.path, ...[leaf, with_].map((each) => `${editable(each)} ${besides(each.part)}`), leaf.part.field.meaning]);
  }
  const head = ["Field", "First", "Second", "Meaning"].map((name) => element("th", { scope: "col" }, name));
  const body = rows.slice(0, SHOWN_ROWS).map((cells) => element("tr", { class: "set" }, cells.map((cell) => element("td", {}, cell))));
  return element("div", {}, element("h3", {}, rows.length === 1 ? "1 field differs" : `${rows.length || "No"} fields differ`),
    rows.length ? element("table", { class: "differences" }, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)) : "");
}

/** What is pointed at or has the focus is marked everywhere, and explained. */
function mark(event) {
  const path = event.target.closest("[data-path]")?.dataset.path;
  if (!path || path === state.marked || !state.leaves.has(path)) return;
  state.marked = path;
  const result = byId("result");
  for (const each of result.querySelectorAll(".on")) each.classList.remove("on");
  for (const each of result.querySelectorAll(`[data-path="${CSS.escape(path)}"]`)) each.classList.add("on");
  byId("about").replaceChildren(...aboutField(state.leaves.get(path), state.a.gaps).filter(Boolean));
}

// --- Edits and links ------------------------------------------------------------------------------

function edit(leaf, text, input) {
  alarm("");
  try {
    const old = state.a.value.data;
    const data = withBits(old, leaf, bitsOf(leaf, text));
    data.forEach((byte, at) => byte !== old[at] && state.changed.add(at));
    const [first, stop] = [leaf.start >> 3, (leaf.start + leaf.width + 7) >> 3];
    const gaps = state.a.gaps.flatMap(([from, to]) => [[from, Math.min(to, first)], [Math.max(from, stop), to]])
      .filter(([from, to]) => from < to);
    state.a = { value: decode(state.a.value.key, data), gaps, guesses: [] };
    byId("structure").value = state.a.value.key;
    if (!gaps.length) {
      byId("text-a").value = hexLines(data);
      byId("number").checked = false;
    }
    byId("said-a").textContent = `edited: ${leaf.path}`;
    draw();
    document.querySelector(`input[data-path="${CSS.escape(leaf.path)}"]`)?.focus();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    alarm(error.message);
    input.setAttribute("aria-invalid", "true");
  }
}

/** The link to what is shown: its bytes stand behind the #. */
function linkOf({ value, gaps }) {
  const bytes = btoa(Array.from(value.data, (byte) => String.fromCharCode(byte)).join(""));
  const url = bytes.replace(/A{8,}/g, (run) => `~${run.length}~`).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  const missing = gaps.length ? `&missing=${gaps.map((gap) => gap.join("-")).join(".")}` : "";
  return `#structure=${encodeURIComponent(value.key)}&bytes=${url}${missing}`;
}

async function share() {
  const said = byId("shared");
  said.replaceChildren();
  if (!state.a) {
    said.textContent = "nothing is decoded yet, so there is nothing to link to";
    return;
  }
  const link = location.href.split("#")[0] + linkOf(state.a);
  history.replaceState(null, "", linkOf(state.a));
  try {
    await navigator.clipboard.writeText(link);
    said.textContent = `a link of ${link.length} letters is in the clipboard`;
  } catch {
    const field = element("input", { type: "text", value: link, readonly: true, "aria-label": "Link" });
    said.append("This browser gives the page no clipboard; copy the link from here: ", field);
    field.select();
  }
}

function fromLink() {
  if (location.hash.length < 2) return;
  try {
    const said = new URLSearchParams(location.hash.slice(1));
    const [key, bytes, missing] = ["structure", "bytes", "missing"].map((name) => said.get(name) ?? "");
    const data = bytesOfLink(bytes);
    const gaps = missing ? missing.split(".").map((gap) => gap.split("-").map(Number)) : [];
    const fits = ([from, to]) => Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from < to && to <= data.length;
    if (!gaps.every(fits)) throw new DecodeError(`missing=${brief(missing)} found, ranges of bytes expected`);
    const value = decode(key, data);
    show(hexLines(data), key);
    state.a = { value, gaps, guesses: [] };
    byId("said-a").textContent = "read from the link";
    alarm("");
    draw();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    alarm(`the link cannot be read: ${error.message}`);
  }
}

function bytesOfLink(text) {
  if (!/^[A-Za-z0-9_~-]*$/.test(text)) throw new DecodeError("bytes= found with other letters than base64 has");
  const letters = text.replace(/~(\d{1,7})~/g, (_, count) => "A".repeat(Math.min(Number(count), 2 * MOST_BYTES)));
  if (letters.length > 2 * MOST_BYTES || letters.includes("~") || letters.length % 4 === 1) {
    throw new DecodeError("bytes= found that no link of this page has");
  }
  return Uint8Array.from(atob(letters.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
}

start();
// What the tests ask, and what a console may.
globalThis.vmgexit = Object.freeze({ read: readAnswer, answer: valueAnswer, given: givenAnswer });
