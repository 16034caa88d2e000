import assert from 'node:assert/strict'
import { test } from 'node:test'

import { cut } from '../server/rag.js'

test('pieces overlap and leave nothing out', () => {
  assert.deepEqual(cut('abcdefghij', 4, 1), ['abcd', 'defg', 'ghij'])
  assert.deepEqual(cut('abc', 4, 1), ['abc'])
  assert.deepEqual(cut('', 4, 1), [''])
})
