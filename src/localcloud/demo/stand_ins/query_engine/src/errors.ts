/** An error in the shape in which Prisma's engines report one to their clients. */
export interface EngineError {
  error: string
  user_facing_error: UserFacingError
}

export interface UserFacingError {
  is_panic: boolean
  message: string
  error_code?: string
  meta?: Record<string, unknown>
}

/** A request the engine cannot carry out; `code` is from Prisma's error reference. */
export class QueryError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message)
  }
}

/** What the client is told about anything thrown while its request was handled. */
export function describe(thrown: unknown): EngineError {
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return { error: message, user_facing_error: userFacing(message, thrown) }
}

function userFacing(message: string, thrown: unknown): UserFacingError {
  if (thrown instanceof QueryError) return { is_panic: false, message, error_code: thrown.code }
  // The engine throws its own errors as JSON in the message of a plain Error.
  try {
    const parsed: unknown = JSON.parse(message)
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed) return parsed as UserFacingError
  } catch {
    // Not one of the engine's: fall through.
  }
  return { is_panic: false, message, error_code: 'P2010' }
}
