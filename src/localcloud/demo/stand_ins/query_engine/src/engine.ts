/** Prisma's WASM query engine behind the four things a client asks of an engine. */
import { readFile } from 'node:fs/promises'

import type { ErrorCapturingDriverAdapter } from '@prisma/driver-adapter-utils'
import { QueryEngine as WasmEngine, __wbg_set_wasm } from '@prisma/query-engine-wasm/postgresql/query_engine_bg.js'
import * as bindings from '@prisma/query-engine-wasm/postgresql/query_engine_bg.js'

import type { DataModel } from './datamodel.js'
import { parseDataModel } from './datamodel.js'
import type { EngineError } from './errors.js'
import { type Query, toQuery } from './request.js'
import { type ClientResponse, type EngineResponse, toClientResponse } from './response.js'

const WASM = new URL(import.meta.resolve('@prisma/query-engine-wasm/postgresql/query_engine_bg.wasm'))
/** The engine wants the headers of a trace with every call; an empty object is none. */
const NO_TRACE = '{}'

/** What the client sends: one query, or several to be run in one transaction. */
export interface ClientRequest {
  query?: string
  batch?: { query: string }[]
  transaction?: boolean
  isolation_level?: string
}

export interface TransactionOptions {
  max_wait: number
  timeout: number
  isolation_level?: string
}

export class Engine {
  private constructor(
    private readonly wasm: WasmEngine,
    private readonly model: DataModel,
    private readonly adapter: ErrorCapturingDriverAdapter,
  ) {}

  static async start(schema: string, adapter: ErrorCapturingDriverAdapter): Promise<Engine> {
    const module = await WebAssembly.compile(await readFile(WASM))
    const instance = await WebAssembly.instantiate(module, { './query_engine_bg.js': { ...bindings } })
    __wbg_set_wasm(instance.exports)
    const wasm = new WasmEngine({ datamodel: schema, logLevel: 'error', logQueries: false }, console.error, adapter)
    await wasm.connect(NO_TRACE)
    return new Engine(wasm, parseDataModel(schema), adapter)
  }

  async handle(request: ClientRequest, transaction?: string): Promise<object> {
    if (request.batch) return this.batch(request, request.batch, transaction)
    const query = toQuery(request.query ?? '', this.model)
    return this.answer(JSON.parse(await this.run(query, transaction)) as EngineResponse, query.action)
  }

  async startTransaction(options: TransactionOptions): Promise<object> {
    const input = { ...options, isolation_level: options.isolation_level ?? null }
    return this.transactionResult(await this.wasm.startTransaction(JSON.stringify(input), NO_TRACE))
  }

  async commit(id: string): Promise<object> {
    return this.transactionResult(await this.wasm.commitTransaction(id, NO_TRACE))
  }

  async rollback(id: string): Promise<object> {
    return this.transactionResult(await this.wasm.rollbackTransaction(id, NO_TRACE))
  }

  private async batch(request: ClientRequest, batch: { query: string }[], transaction?: string): Promise<object> {
    const queries = batch.map(({ query }) => toQuery(query, this.model))
    const together = request.transaction ? { transaction: { isolationLevel: request.isolation_level ?? null } } : {}
    const response = JSON.parse(await this.run({ batch: queries, ...together }, transaction)) as EngineResponse & {
      batchResult?: EngineResponse[]
    }
    if (response.errors) return { errors: this.explained(response.errors) }
    return {
      batchResult: (response.batchResult ?? []).map((one, index) => this.answer(one, queries[index]?.action ?? '')),
    }
  }

  private run(body: Query | object, transaction?: string): Promise<string> {
    return this.wasm.query(JSON.stringify(body), NO_TRACE, transaction)
  }

  private answer(response: EngineResponse, action: string): ClientResponse {
    if (response.errors) return { errors: this.explained(response.errors) }
    return toClientResponse(response, action)
  }

  private transactionResult(text: string): object {
    const result = JSON.parse(text) as { error_code?: string; message?: string }
    if (result.error_code === undefined) return result
    return { errors: [{ error: result.message, user_facing_error: result }] }
  }

  /** P2036 says only that the driver failed, under a number; the driver's own words are kept in the adapter. */
  private explained(errors: EngineError[]): EngineError[] {
    return errors.map((entry) => {
      const { error_code, meta } = entry.user_facing_error
      const record = error_code === 'P2036' ? this.adapter.errorRegistry.consumeError(Number(meta?.['id'])) : undefined
      if (record === undefined) return entry
      const message = record.error instanceof Error ? record.error.message : String(record.error)
      return { error: message, user_facing_error: { ...entry.user_facing_error, message } }
    })
  }
}
