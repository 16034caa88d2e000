import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseDataModel } from '../src/datamodel.js'
import { QueryError } from '../src/errors.js'
import { toQuery } from '../src/request.js'

const model = parseDataModel(`
model Team {
  id       String @id
  // comment Json
  settings Json?
  data     Json
  tags     Json[]
  members  Member[]
  @@index([id])
}
model Member {
  id       String @id
  metadata Json
  team     Team? @relation(fields: [teamId], references: [id])
}
`)
const argumentsOf = (graphql: string) => toQuery(graphql, model).query.arguments
const json = (value: string) => ({ $type: 'Json', value })

test('an operation names its model, action and selection', () => {
  assert.deepEqual(toQuery('query { result: findUniqueTeam(where: {id: "a"}) { id members { id } } }', model), {
    modelName: 'Team',
    action: 'findUnique',
    query: { arguments: { where: { id: 'a' } }, selection: { id: true, members: { arguments: {}, selection: { id: true } } } },
  })
})

test('OrThrow belongs to the action, not to the model', () => {
  const { action, modelName } = toQuery('query { result: findFirstTeamOrThrow { id } }', model)
  assert.deepEqual([action, modelName], ['findFirstOrThrow', 'Team'])
})

test('a raw query is passed on as it is', () => {
  assert.deepEqual(toQuery('mutation { result: queryRaw(query: "SELECT $1", parameters: "[\\"{}\\"]") }', model), {
    action: 'queryRaw',
    query: { arguments: { query: 'SELECT $1', parameters: '["{}"]' }, selection: {} },
  })
})

test('Json is tagged by the type of its field, also where the field is called like an argument', () => {
  assert.deepEqual(argumentsOf('mutation { result: createOneTeam(data: {id: "{}", data: "{\\"a\\":1}"}) { id } }'), {
    data: { id: '{}', data: json('{"a":1}') },
  })
})

test('Json is tagged inside filters, lists, logical operators and relations', () => {
  assert.deepEqual(
    argumentsOf(`query { result: findManyTeam(where: {
      AND: [{settings: {equals: "1", path: ["a"]}}], members: {some: {metadata: {not: "null"}}}
    }) { id } }`),
    {
      where: {
        AND: [{ settings: { equals: json('1'), path: ['a'] } }],
        members: { some: { metadata: { not: json('null') } } },
      },
    },
  )
  assert.deepEqual(argumentsOf('mutation { result: updateOneTeam(where: {id: "a"}, data: {tags: {set: ["1", "2"]}}) { id } }'), {
    where: { id: 'a' },
    data: { tags: { set: [json('1'), json('2')] } },
  })
})

test('Json is tagged in nested writes, to one and to many', () => {
  assert.deepEqual(
    argumentsOf(`mutation { result: updateOneTeam(where: {id: "a"}, data: {members: {
      create: [{id: "m", metadata: "{}"}],
      update: {where: {id: "m"}, data: {metadata: "1"}},
      connectOrCreate: {where: {id: "n"}, create: {id: "n", metadata: "2"}}
    }}) { id } }`)?.['data'],
    {
      members: {
        create: [{ id: 'm', metadata: json('{}') }],
        update: { where: { id: 'm' }, data: { metadata: json('1') } },
        connectOrCreate: { where: { id: 'n' }, create: { id: 'n', metadata: json('2') } },
      },
    },
  )
  assert.deepEqual(
    argumentsOf('mutation { result: updateOneMember(where: {id: "m"}, data: {team: {update: {settings: "1"}}}) { id } }')?.['data'],
    { team: { update: { settings: json('1') } } },
  )
})

test('a null stays null, an enum value becomes one', () => {
  assert.deepEqual(argumentsOf('query { result: findManyTeam(where: {settings: null}, orderBy: {id: desc}) { id } }'), {
    where: { settings: null },
    orderBy: { id: { $type: 'Enum', value: 'desc' } },
  })
})

test('whole numbers beyond what JavaScript holds keep their digits', () => {
  assert.deepEqual(argumentsOf('query { result: findManyTeam(take: 9007199254740993, skip: 1) { id } }'), {
    take: { $type: 'BigInt', value: '9007199254740993' },
    skip: 1,
  })
})

for (const [what, graphql] of [
  ['invalid JSON', 'mutation { result: createOneTeam(data: {data: "{"}) { id } }'],
  ['an unknown operation', 'query { result: dropTeam { id } }'],
  ['a variable', 'query ($a: String) { result: findUniqueTeam(where: {id: $a}) { id } }'],
] as const) {
  test(`${what} is refused before the engine sees it`, () => {
    assert.throws(() => toQuery(graphql, model), (error) => error instanceof QueryError && error.code === 'P2009')
  })
}
