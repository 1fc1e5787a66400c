// The rules between fields: a walk over the syntax trees that carried.py made of the library's functions.
// Whole numbers are BigInts; one with a name is a Named; a structure is a decoded value.

/** A rule asks for what is not carried: nothing is judged then, and this is said. */
class NotCarried extends Error {}

/** A number with a name, as a field with codes holds it. */
class Named {
  constructor(value, name) {
    this.value = value;
    this.name = name;
  }
}

class Returned {
  constructor(value) {
    this.value = value;
  }
}

const _isStructure = (held) => held && typeof held === "object" && Array.isArray(held.parts);
const _number = (held) =>
  held instanceof Named ? held.value : typeof held === "boolean" ? BigInt(held) : typeof held === "bigint" ? held : null;

/** A held value as rules see it: a code with its name. */
function named(field, held) {
  const code = field.kind === "uint" ? codeOf(field, held) : null;
  return code ? new Named(held, code[0]) : held;
}

function _truth(held) {
  const number = _number(held);
  if (number !== null) return number !== 0n;
  if (held instanceof Uint8Array || Array.isArray(held) || typeof held === "string") return held.length > 0;
  return held !== null && held !== undefined;
}

/** Python's ==, of what rules compare. */
function _same(one, other) {
  const [a, b] = [_number(one), _number(other)];
  if (a !== null || b !== null) return a === b;
  if (one instanceof Uint8Array && other instanceof Uint8Array) return equal(one, other);
  if (typeof one === "object" && one !== null && !("carried" in one)) throw new NotCarried("==");
  return one === other;
}

const _floor = (a, b) => a / b - BigInt(a % b !== 0n && a < 0n !== b < 0n);

function _operated(sign, left, right) {
  const [a, b] = [_number(left), _number(right)];
  if (a === null || b === null) {
    if (sign === "+" && typeof left === "string" && typeof right === "string") return left + right;
    throw new NotCarried(sign);
  }
  const isBits = typeof left === "boolean" && typeof right === "boolean" && "&|^".includes(sign);
  const made = {
    "+": () => a + b, "-": () => a - b, "*": () => a * b, "%": () => a - b * _floor(a, b), "//": () => _floor(a, b),
    "<<": () => a << b, ">>": () => a >> b, "&": () => a & b, "|": () => a | b, "^": () => a ^ b,
  }[sign]();
  return isBits ? made === 1n : made;
}

function _compared(sign, left, right) {
  switch (sign) {
    case "==": return _same(left, right);
    case "!=": return !_same(left, right);
    case "is": return left === right;
    case "is not": return left !== right;
    case "in": return _isIn(left, right);
    case "not in": return !_isIn(left, right);
  }
  const [a, b] = [_number(left), _number(right)];
  if (a === null || b === null) throw new NotCarried(sign);
  return { "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b }[sign];
}

function _isIn(item, held) {
  if (typeof held === "string") return held.includes(item);
  if (held instanceof Uint8Array) {
    return hexOf(held, " ").includes(hexOf(item, " "));
  }
  if (held instanceof Map) return held.has(_key(item));
  return held.some((each) => _same(each, item));
}

/** What a dict has as its key: a number is its digits. */
const _key = (held) => {
  const number = _number(held);
  return number !== null ? String(number) : `text ${held}`;
};

const _spelled = (held, spec) => {
  const number = _number(held);
  if (spec === "#x") return shown(number);
  return number !== null && typeof held !== "boolean" ? String(number) : typeof held === "boolean" ? (held ? "True" : "False") : held;
};

// --- The walk -------------------------------------------------------------------------------------

const _constants = new Map();

/** What a tree of a constant is, made once. */
function _constant(tree) {
  if (!_constants.has(tree)) _constants.set(tree, _madeOf(tree));
  return _constants.get(tree);
}

function _madeOf([kind, value, name]) {
  switch (kind) {
    case "c": return value;
    case "i": return name ? new Named(BigInt(value), name) : BigInt(value);
    case "b": return unhexed(value);
    case "d": {
      const pairs = value.map((pair) => pair.map((each) => _evaluated(each, {})));
      return Object.assign(new Map(pairs.map(([key, held]) => [_key(key), held])), { pairs });
    }
    case "o": return _object(value);
    default: return { carried: kind, value };
  }
}

const _objects = [];

function _object(number) {
  if (!_objects[number]) {
    const made = (_objects[number] = { carried: "object" });
    for (const [name, tree] of Object.entries(DATA.rules.objects[number])) made[name] = _evaluated(tree, {});
  }
  return _objects[number];
}

/** Call a carried function: what it yields, or what it returns. */
function callRule(number, values) {
  const [names, defaults, yields, body] = DATA.rules.functions[number];
  const names_ = {};
  names.forEach((name, at) => {
    const usual = defaults[at - names.length + defaults.length];
    names_[name] = at < values.length ? values[at] : _evaluated(usual, {});
  });
  const yielded = [];
  const returned = _carriedOut(body, names_, yielded);
  return yields ? yielded : returned instanceof Returned ? returned.value : null;
}

function _carriedOut(body, names, yielded) {
  for (const [kind, one, two, three] of body) {
    let returned;
    if (kind === "yield") yielded.push(_evaluated(one, names));
    else if (kind === "from") yielded.push(..._evaluated(one, names));
    else if (kind === "return") return new Returned(_evaluated(one, names));
    else if (kind === "set") _put(one, _evaluated(two, names), names);
    else if (kind === "if") returned = _carriedOut(_truth(_evaluated(one, names)) ? two : three, names, yielded);
    else if (kind === "for") {
      for (const item of _evaluated(two, names)) {
        _put(one, item, names);
        returned = _carriedOut(three, names, yielded);
        if (returned) break;
      }
    } else throw new NotCarried(kind);
    if (returned) return returned;
  }
  return null;
}

function _put(target, held, names) {
  if (typeof target === "string") names[target] = held;
  else target.forEach((each, at) => _put(each, held[at], names));
}

function _evaluated(tree, names) {
  const [kind, one, two, three, four] = tree;
  const value = (each) => _evaluated(each, names);
  switch (kind) {
    case "t": return one.map(value);
    case "name": return names[one];
    case "attr": return _attribute(value(one), two);
    case "and": case "or": {
      let held;
      for (const each of one) {
        held = value(each);
        if (_truth(held) === (kind === "or")) return held;
      }
      return held;
    }
    case "not": return !_truth(value(one));
    case "op": return _operated(one, value(two), value(three));
    case "compare": {
      let left = value(one);
      for (const [sign, each] of two) {
        const right = value(each);
        if (!_compared(sign, left, right)) return false;
        left = right;
      }
      return true;
    }
    case "choose": return _truth(value(one)) ? value(two) : value(three);
    case "text": return one.map((part) => (part[0] === "format" ? _spelled(value(part[1]), part[2]) : part[1])).join("");
    case "slice": {
      const ends = [two, three].map((each) => value(each)).map((end) => (end === null ? undefined : Number(_number(end))));
      return value(one).slice(...ends);
    }
    case "at": return _item(value(one), value(two));
    case "each": {
      const made = [];
      for (const item of value(three)) {
        const inner = { ...names };
        _put(two, item, inner);
        if (four.every((test) => _truth(_evaluated(test, inner)))) made.push(_evaluated(one, inner));
      }
      return made;
    }
    case "call": return _called(value(one), two.map(value));
    case "method": return _method(value(one), two, three.map(value));
    default: return _constant(tree);
  }
}

function _item(held, at) {
  if (at && at.ends) return held.slice(...at.ends);
  if (held instanceof Map) return held.get(_key(at));
  const found = held[Number(_number(at))];
  return held instanceof Uint8Array ? BigInt(found) : found;
}

function _attribute(held, name) {
  if (_isStructure(held)) {
    const part = held.parts.find((each) => each.field.name === name);
    if (part) return part.held instanceof Uint8Array || typeof part.held !== "bigint" ? part.held : named(part.field, part.held);
    if (name === "size") return BigInt(held.data.length);
    if (name === "declaration") return { carried: "object", name: held.of.name };
    const [number, isProperty] = DATA.rules.methods[held.key]?.[name] ?? [];
    if (isProperty) return callRule(number, [held]);
  } else if (held && typeof held === "object" && name in held) return held[name];
  throw new NotCarried(name);
}

function _method(held, name, values) {
  if (_isStructure(held)) {
    if (name === "problems") return [..._judged(held, "")];
    if (name === "encode") return held.data;
    const [number, isProperty] = DATA.rules.methods[held.key]?.[name] ?? [];
    if (number !== undefined && !isProperty) return callRule(number, [held, ...values]);
  } else if (held && held.carried === "s") {
    const of = structureOf(held.value);
    if (name === "of") return decode(held.value, bytesOf(_number(values[0]), of.size));
    if (name === "decode") return decode(held.value, values[0]);
  } else if (held instanceof Map) {
    if (name === "items") return held.pairs;
    if (name === "get") return held.get(_key(values[0])) ?? null;
  } else if (held instanceof Uint8Array && name === "partition") {
    const at = held.indexOf(values[0][0]);
    const end = new Uint8Array(0);
    return at < 0 ? [held, end, end] : [held.subarray(0, at), held.subarray(at, at + 1), held.subarray(at + 1)];
  } else if (typeof held === "string" && name === "startswith") return held.startsWith(values[0]);
  else if (held && held.carried === "object" && name === "applies") {
    return held.test === null || _truth(_called(held.test, values));
  } else if (_number(held) !== null && name === "bit_count") {
    return BigInt(_number(held).toString(2).replace(/0/g, "").length);
  }
  throw new NotCarried(name);
}

function _called(called, values) {
  if (called.carried === "f") return callRule(called.value, values);
  if (called.carried !== "builtin") throw new NotCarried(String(called.carried));
  const [one, two, three, four] = values;
  const numbers = () => (values.length === 1 ? [...one] : values).map(_number);
  switch (called.value) {
    case "Problem": return { path: one, value: two, rule: three, clause: four };
    case "any": return [...one].some((each) => (typeof each === "number" ? each !== 0 : _truth(each)));
    case "bool": return _truth(one);
    case "enumerate": return one.map((each, at) => [BigInt(at), each]);
    case "getattr": return _attribute(one, two);
    case "int": return _isStructure(one) ? numberOf(one.data) : _number(one);
    case "len": return BigInt(one.length);
    case "max": return numbers().reduce((a, b) => (a < b ? b : a));
    case "min": return numbers().reduce((a, b) => (b < a ? b : a));
    case "range": {
      const [from, to] = values.length === 1 ? [0n, _number(one)] : [_number(one), _number(two)];
      const made = [];
      for (let at = from; at < to; at++) made.push(at);
      return made;
    }
    case "slice": return { ends: values.map((end) => Number(_number(end))) };
    case "type": return one;
    case "judged": return [..._judgedFields(one, two)];
    case "find_exit": return _exits().get(_key(one)) ?? null;
    case "members": return new Map(DATA.codes[one.value].map(([value, name]) => [value, name]));
    case "valid_bit": return BigInt(one.parts.find((part) => part.field.name === two).at >> 3);
    default: throw new NotCarried(called.value);
  }
}

let _rows = null;

function _exits() {
  _rows ??= new Map(DATA.rules.exits.map(([code, tree]) => [code, _constant(tree)]));
  return _rows;
}
