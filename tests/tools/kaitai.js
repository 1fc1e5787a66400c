// Compiles Kaitai specifications: node kaitai.js LANGUAGE FOLDER FILE...

const fs = require("fs");
const path = require("path");
const compiler = require("kaitai-struct-compiler");
const yaml = require("js-yaml");

const [language, folder, ...files] = process.argv.slice(2);

async function compile(file) {
  const specification = yaml.load(fs.readFileSync(file, "utf8"));
  const importer = { importYaml: (name) => Promise.reject(new Error(`imports ${name}`)) };
  const made = await compiler.compile(language, specification, importer, false);
  for (const [name, text] of Object.entries(made)) {
    fs.writeFileSync(path.join(folder, name), text);
  }
}

(async () => {
  for (const file of files) {
    await compile(file).catch((error) => {
      console.error(`${file}: ${error}`);
      process.exitCode = 1;
    });
  }
})();
