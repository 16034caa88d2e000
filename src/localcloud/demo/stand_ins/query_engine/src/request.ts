/**
 * Requests: from the GraphQL that Prisma Client Python writes to the JSON protocol that the WASM engine reads.
 *
 * The two differ in one thing that needs the data model: in GraphQL a Json field is given as a string holding JSON; the
 * JSON protocol would store that as a JSON *string*, so such values are tagged by the type of their field. Which names
 * are fields depends on where in the arguments they stand, hence the three levels below.
 */
import { type FieldNode, Kind, type SelectionSetNode, type ValueNode, parse } from 'graphql'

import type { DataModel } from './datamodel.js'
import { QueryError } from './errors.js'

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value }
export type Input = { [key: string]: Value }

export interface Selection {
  arguments?: Input
  selection: { [field: string]: true | Selection }
}

export interface Query {
  modelName?: string
  action: string
  query: Selection
}

const RAW_ACTIONS = new Set(['queryRaw', 'executeRaw'])
const MODEL_ACTION =
  /^(findUnique|findFirst|findMany|createOne|createMany|updateOne|updateMany|deleteOne|deleteMany|upsertOne|aggregate|groupBy)(\w+?)(OrThrow)?$/

/** Keys of an argument object whose values speak about a model's fields. */
const FIELDS_ARGUMENTS = new Set(['where', 'data', 'create', 'update', 'having', 'cursor'])
const LOGICAL = new Set(['AND', 'OR', 'NOT'])
const RELATION_FIELDS = new Set(
  ['create', 'connect', 'set', 'disconnect', 'delete', 'deleteMany', 'some', 'every', 'none', 'is', 'isNot'],
)
const RELATION_ARGUMENTS = new Set(['connectOrCreate', 'upsert', 'updateMany', 'createMany'])
/** Keys of a filter or update on a Json field whose values are JSON themselves (`path` and `string_contains` are not). */
const JSON_OPERATIONS = new Set(
  ['equals', 'not', 'set', 'array_contains', 'array_starts_with', 'array_ends_with', 'lt', 'lte', 'gt', 'gte'],
)

export function toQuery(graphql: string, model: DataModel): Query {
  const definition = parse(graphql, { noLocation: true }).definitions[0]
  const field = definition?.kind === Kind.OPERATION_DEFINITION ? definition.selectionSet.selections[0] : undefined
  if (field?.kind !== Kind.FIELD) throw new QueryError('The request holds no operation', 'P2009')
  return new Translation(model).operation(field)
}

class Translation {
  constructor(private readonly model: DataModel) {}

  operation(field: FieldNode): Query {
    const name = field.name.value
    if (RAW_ACTIONS.has(name)) return { action: name, query: { arguments: givenArguments(field), selection: {} } }
    const [, action, modelName, orThrow = ''] = MODEL_ACTION.exec(name) ?? []
    if (action === undefined || modelName === undefined) throw new QueryError(`Unknown operation ${name}`, 'P2009')
    return { modelName, action: action + orThrow, query: this.selection(modelName, field) }
  }

  private selection(modelName: string, field: FieldNode): Selection {
    return {
      arguments: this.arguments(modelName, givenArguments(field)),
      selection: this.selected(modelName, field.selectionSet),
    }
  }

  private selected(modelName: string, set: SelectionSetNode | undefined): Selection['selection'] {
    const fields = (set?.selections ?? []).filter((node) => node.kind === Kind.FIELD)
    return Object.fromEntries(
      fields.map((node) => {
        const name = node.name.value
        const type = this.model.get(modelName)?.get(name) ?? ''
        return [name, node.selectionSet ? this.selection(type, node) : true]
      }),
    )
  }

  /** `{ where, data, take, … }` of an operation, or of a nested one. */
  private arguments(modelName: string, input: Input): Input {
    return mapValues(input, (value, key) =>
      FIELDS_ARGUMENTS.has(key) ? eachObject(value, (object) => this.fields(modelName, object)) : value,
    )
  }

  /** `{ field: value }`, with the logical operators a filter may hold. */
  private fields(modelName: string, input: Input): Input {
    const types = this.model.get(modelName)
    return mapValues(input, (value, key) => {
      const type = types?.get(key)
      if (type === undefined) {
        return LOGICAL.has(key) ? eachObject(value, (object) => this.fields(modelName, object)) : value
      }
      if (type === 'Json') return jsonField(value)
      if (this.model.has(type)) return eachObject(value, (object) => this.relation(type, object))
      return value
    })
  }

  /** `{ create, connect, some, … }` on a relation, or a filter on the related model's own fields. */
  private relation(modelName: string, input: Input): Input {
    const isOperation = (key: string): boolean =>
      key === 'update' || RELATION_FIELDS.has(key) || RELATION_ARGUMENTS.has(key)
    if (!Object.keys(input).every(isOperation)) return this.fields(modelName, input)
    return mapValues(input, (value, key) =>
      eachObject(value, (object) => {
        const wrapped = RELATION_ARGUMENTS.has(key) || (key === 'update' && isWhereAndData(object))
        return wrapped ? this.arguments(modelName, object) : this.fields(modelName, object)
      }),
    )
  }
}

/** A nested update of a to-many relation gives `{ where, data }`, of a to-one relation the fields themselves. */
function isWhereAndData(input: Input): boolean {
  return 'data' in input && Object.keys(input).every((key) => key === 'where' || key === 'data')
}

function jsonField(value: Value): Value {
  if (value === null) return null
  if (typeof value === 'string') return taggedJson(value)
  if (Array.isArray(value)) return value.map(jsonField)
  if (isTagged(value)) return value
  if (isObject(value)) return mapValues(value, (inner, key) => (JSON_OPERATIONS.has(key) ? jsonField(inner) : inner))
  return taggedJson(JSON.stringify(value))
}

/** Invalid JSON under this tag panics the engine, which ends the process for every client: refuse it here. */
function taggedJson(text: string): Value {
  try {
    JSON.parse(text)
  } catch {
    throw new QueryError(`Invalid JSON for a Json field: ${text.slice(0, 80)}`, 'P2009')
  }
  return { $type: 'Json', value: text }
}

function givenArguments(field: FieldNode): Input {
  return Object.fromEntries((field.arguments ?? []).map(({ name, value }) => [name.value, literal(value)]))
}

function literal(node: ValueNode): Value {
  switch (node.kind) {
    case Kind.NULL:
      return null
    case Kind.STRING:
    case Kind.BOOLEAN:
      return node.value
    case Kind.ENUM:
      return { $type: 'Enum', value: node.value }
    case Kind.FLOAT:
      return Number(node.value)
    case Kind.INT: {
      const number = Number(node.value)
      return Number.isSafeInteger(number) ? number : { $type: 'BigInt', value: node.value }
    }
    case Kind.LIST:
      return node.values.map(literal)
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map(({ name, value }) => [name.value, literal(value)]))
    case Kind.VARIABLE:
      throw new QueryError(`Variable $${node.name.value}: only literal values are understood`, 'P2009')
  }
}

function isObject(value: Value): value is Input {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTagged(value: Value): boolean {
  return isObject(value) && typeof value['$type'] === 'string'
}

function eachObject(value: Value, change: (object: Input) => Input): Value {
  if (Array.isArray(value)) return value.map((element) => eachObject(element, change))
  return isObject(value) && !isTagged(value) ? change(value) : value
}

function mapValues(object: Input, change: (value: Value, key: string) => Value): Input {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]))
}
