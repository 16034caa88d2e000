import assert from 'node:assert/strict'
import { test } from 'node:test'

import { toClientResponse } from '../src/response.js'

test('tagged values become bare ones, at any depth', () => {
  const response = toClientResponse(
    {
      data: {
        findManyTeam: [
          {
            created: { $type: 'DateTime', value: '2026-01-01T00:00:00.000Z' },
            settings: { $type: 'Json', value: '{"$type":"kept"}' },
            small: { $type: 'BigInt', value: '5' },
            large: { $type: 'BigInt', value: '9007199254740993' },
            members: [{ price: { $type: 'Decimal', value: '1.5' } }],
            nothing: null,
          },
        ],
      },
    },
    'findMany',
  )
  assert.deepEqual(response, {
    data: {
      result: [
        {
          created: '2026-01-01T00:00:00.000Z',
          settings: '{"$type":"kept"}',
          small: 5,
          large: '9007199254740993',
          members: [{ price: '1.5' }],
          nothing: null,
        },
      ],
    },
  })
})

test('a raw table becomes a list of typed rows', () => {
  const table = { columns: ['a', 'b', 'c'], types: ['bigint', 'int-array', 'string'], rows: [['1', [1, 2], null]] }
  assert.deepEqual(toClientResponse({ data: { queryRaw: table } }, 'queryRaw'), {
    data: {
      result: [
        {
          a: { prisma__type: 'bigint', prisma__value: '1' },
          b: {
            prisma__type: 'array',
            prisma__value: [
              { prisma__type: 'int', prisma__value: 1 },
              { prisma__type: 'int', prisma__value: 2 },
            ],
          },
          c: { prisma__type: 'null', prisma__value: null },
        },
      ],
    },
  })
})

test('errors are passed on as they are', () => {
  const errors = [{ error: 'x', user_facing_error: { is_panic: false, message: 'x', error_code: 'P2002' } }]
  assert.deepEqual(toClientResponse({ errors }, 'createOne'), { errors })
})
