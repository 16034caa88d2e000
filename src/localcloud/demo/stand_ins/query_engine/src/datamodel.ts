/** The part of a Prisma schema that translating queries needs: each model's fields and their types. */

/** Field name -> name of its type: a scalar, an enum or another model. */
export type Fields = ReadonlyMap<string, string>

/** Model name -> its fields. */
export type DataModel = ReadonlyMap<string, Fields>

const MODEL = /^model\s+(\w+)\s*\{(.*?)^\}/gms
const FIELD = /^\s*([A-Za-z]\w*)\s+([A-Za-z]\w*)/

export function parseDataModel(schema: string): DataModel {
  const models = new Map<string, Fields>()
  for (const [, name = '', body = ''] of schema.matchAll(MODEL)) {
    const fields = new Map<string, string>()
    for (const line of body.split('\n')) {
      // Comments (//) and block attributes (@@) do not begin with a letter.
      const [, field, type] = FIELD.exec(line) ?? []
      if (field !== undefined && type !== undefined) fields.set(field, type)
    }
    models.set(name, fields)
  }
  return models
}
