// The rules that a value breaks: those of single fields and of lists, which are data, and carried ones.

/** Problems {path, text}, as the library's `problems()` writes them. */
function problemsOf(value) {
  return [..._judged(value, "")].map(({ path, value: held, rule, clause }) => ({
    path,
    text: `${path}: ${shortOf(held)}: ${rule}${clause ? ` [${clause}]` : ""}`,
  }));
}

/** The structures in a value whose rules between fields this page does not have. */
function unjudgedIn(value) {
  const found = new Set(value.of.unjudged ? [value.key] : []);
  for (const { field, held } of value.parts) {
    const inner = field.kind === "struct" ? [held] : field.kind === "array" ? held.slice(0, 1) : [];
    for (const each of inner) for (const key of unjudgedIn(each)) found.add(key);
  }
  return found;
}

/** What a carried rule yields. One that fails judges nothing, and this is said from then on. */
function _yielded(value, rule, values) {
  if (value.of.unjudged) return [];
  try {
    const found = callRule(rule, values);
    for (const problem of found) if (typeof problem.rule !== "string" || !shortOf(problem.value)) throw new NotCarried("problem");
    return found;
  } catch {
    value.of.unjudged = true;
    return [];
  }
}

function* _judged(value, prefix) {
  if (value.of.judged !== undefined) yield* _yielded(value, value.of.judged, [value, prefix]);
  else if (!value.of.whole) yield* _judgedFields(value, prefix);
  else {
    yield* _judgedFields(value, prefix);
    const past = [..._overruns(value)];
    const known = new Set(past.map((problem) => problem.path));
    for (const problem of [...past, ..._mismatches(value, known)]) {
      yield { ...problem, path: prefix + problem.path };
    }
  }
}

function* _judgedFields(value, prefix) {
  for (const { field, held } of value.parts) {
    const path = prefix + field.name;
    const rule = _brokenRule(field, held);
    if (rule) yield { path, value: named(field, held), rule, clause: field.clause ?? value.of.clause ?? "" };
    if (field.kind === "struct") yield* _judged(held, `${path}.`);
    if (field.kind === "array") {
      for (const [at, element] of held.entries()) yield* _judged(element, `${path}[${at}].`);
    }
  }
  if (value.of.broken === undefined) return;
  for (const problem of _yielded(value, value.of.broken, [value])) {
    yield { ...problem, path: prefix + problem.path };
  }
}

function _brokenRule(field, held) {
  if (field.rule === "zero") return isZero(held) ? "" : "reserved, must be zero";
  if (field.value !== undefined) {
    const same = held instanceof Uint8Array ? hexOf(held) === field.value : BigInt(held) === BigInt(field.value);
    return same ? "" : `${field.expected} expected`;
  }
  if (field.codes && !codeOf(field, held)) return `not a known ${field.codes.split("#")[0]}`;
  return "";
}

/** A value as a problem shows it. */
function shortOf(held) {
  if (typeof held === "boolean") return held ? "True" : "False";
  if (held instanceof Named) return `${shown(held.value)} ${held.name}`;
  if (held instanceof Uint8Array) {
    return held.length > 16 ? `${hexOf(held.slice(0, 16), " ")} ... (${held.length} bytes)` : hexOf(held, " ");
  }
  return shown(held);
}

// --- Structures of any length ---------------------------------------------------------------------

const _rule = (value, path, held, rule) => ({ path, value: BigInt(held), rule, clause: value.of.clause });

/** Facts of a list: its field, elements, where they begin and end, what the total says. */
function _factsOf(value) {
  const field = listOf(value.of);
  const start = Math.floor((field.at ?? 0) / 8);
  const step = structureOf(field.of).size;
  const elements = reach(value, field.name);
  const total = value.of.total ? Number(reach(value, value.of.total)) : 0;
  return { field, list: field.list, start, step, elements, total, end: start + step * elements.length };
}

/** What runs past the bytes: a count, a list without its end, a total, a body. */
function* _overruns(value) {
  const { field, list, start, step, elements, total } = _factsOf(value);
  const size = value.data.length;
  const ends = `the bytes end at ${shown(size)}`;
  if (list.until) {
    if (!elements.some((element) => endsList(list, element))) {
      const most = elements.length < list.most ? ends : `at most ${list.most} are read`;
      yield _rule(value, field.name, elements.length, `no element ends the list; ${most}`);
    }
  } else {
    const wanted = Number(wantedOf(list, value));
    const stop = start + wanted * step;
    if (wanted > elements.length && stop > size) {
      const said = list.count ?? list.last;
      const rule = `${countOf(wanted, "element")} of ${step} bytes would end at ${shown(stop)}; ${ends}`;
      yield _rule(value, said, reach(value, said), rule);
    }
  }
  if (total > size) yield _rule(value, value.of.total, total, ends);
  for (const body of bodiesOf(value)) {
    if (body.length > body.held.length) {
      const stop = body.offset + body.length;
      const rule = `from ${shown(body.offset)} on it would end at ${shown(stop)}; ${ends}`;
      yield _rule(value, `${body.path}.${list.bodies.length}`, body.length, rule);
    }
  }
}

/** What does not fit together; nothing of the paths that are known to be wrong. */
function* _mismatches(value, known) {
  const { field, list, elements, total, end } = _factsOf(value);
  if (list.until) {
    for (const [at, element] of elements.slice(0, -1).entries()) {
      if (endsList(list, element)) {
        yield _rule(value, `${field.name}[${at}]`, at, "ends the list before its last element");
      }
    }
  } else {
    const said = list.count ?? list.last;
    if (!known.has(said) && Number(wantedOf(list, value)) !== elements.length) {
      const most = elements.length === list.most ? `, and at most ${list.most} are read` : "";
      const rule = `the list has ${countOf(elements.length, "element")}${most}`;
      yield _rule(value, said, reach(value, said), rule);
    }
  }
  if (value.of.total && total < end) {
    yield _rule(value, value.of.total, total, `the list ends at ${shown(end)}`);
  }
  yield* _bodyProblems(value, list, total, end, known);
}

/** Bodies that stand in the list, in one another, or past the total; of a wrong size. */
function* _bodyProblems(value, list, total, listEnd, known) {
  let [end, last] = [listEnd, "the list"];
  const bodies = bodiesOf(value).filter((body) => body.length);
  for (const body of bodies.sort((a, b) => a.offset - b.offset)) {
    const stop = body.offset + body.length;
    if (body.offset < end) {
      const path = `${body.path}.${list.bodies.offset}`;
      yield _rule(value, path, body.offset, `within ${last}, which ends at ${shown(end)}`);
    }
    if (stop > end) [end, last] = [stop, body.path];
    const path = `${body.path}.${list.bodies.length}`;
    if (known.has(path)) continue;
    const of = body.of ? structureOf(body.of) : null;
    if (of && !accepts(of, body.length)) {
      yield _rule(value, path, body.length, `${of.name} has ${of.size} bytes`);
    }
    if (total && stop > total) {
      yield _rule(value, path, body.length, `ends at ${shown(stop)}, past the total of ${shown(total)}`);
    }
  }
}
