// Judges a librechat.yaml by LibreChat's own schema: `node - FILE < validate.js`, in a folder with LibreChat's packages.
// The schema itself lets unknown keys below the first level pass, and LibreChat then ignores them: here they fail.
const { readFileSync } = require('node:fs')
const load = require('node:module').createRequire(`${process.cwd()}/`)
const { configSchema } = load('librechat-data-provider')

const unknown = (given, known, path) =>
  given === null || typeof given !== 'object' || known === null || typeof known !== 'object'
    ? []
    : Object.keys(given).flatMap((key) =>
        key in known ? unknown(given[key], known[key], [...path, key]) : [[...path, key].join('.')])

const given = load('js-yaml').load(readFileSync(process.argv[2], 'utf8'))
const judged = configSchema.strict().safeParse(given)
const flaws = judged.success
  ? unknown(given, judged.data, []).map((key) => `${key}: LibreChat knows no such key`)
  : judged.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
if (flaws.length > 0) {
  console.error(`librechat.yaml: ${flaws.join('; ')}`)
  process.exit(1)
}
