// The package ships types for its bundler entry only; what Node loads directly is the file beside it.
declare module '@prisma/query-engine-wasm/postgresql/query_engine_bg.js' {
  export * from '@prisma/query-engine-wasm/postgresql/query_engine.js'
  export function __wbg_set_wasm(exports: WebAssembly.Exports): void
}
