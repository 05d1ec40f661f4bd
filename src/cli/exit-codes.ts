import { type ErrorCode, isLatchkeyError } from '../errors/index.ts'
import { UsageError } from './usage-error.ts'

/** What the command says to the shell when it ends. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  network: 3,
  loginRequired: 4,
  refused: 5,
  cancelled: 130,
} as const

/** Every error code has its exit code; the compiler sees to it. */
const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  authorization_refused: EXIT.refused,
  authorization_response_invalid: EXIT.failed,
  config_invalid: EXIT.usage,
  config_untrusted: EXIT.usage,
  connect_failed: EXIT.failed,
  credential_refused: EXIT.refused,
  discovery_failed: EXIT.failed,
  dpop_required: EXIT.usage,
  insufficient_scope: EXIT.refused,
  issuer_mismatch: EXIT.failed,
  login_required: EXIT.loginRequired,
  network_failed: EXIT.network,
  pkce_unsupported: EXIT.failed,
  port_in_use: EXIT.failed,
  redirect_uri_refused: EXIT.refused,
  registration_refused: EXIT.refused,
  registration_unavailable: EXIT.failed,
  resource_mismatch: EXIT.failed,
  response_invalid: EXIT.failed,
  secret_unavailable: EXIT.failed,
  server_unknown: EXIT.usage,
  sign_in_cancelled: EXIT.cancelled,
  sign_in_timed_out: EXIT.failed,
  store_conflict: EXIT.failed,
  store_failed: EXIT.failed,
  token_request_refused: EXIT.refused,
  unsupported: EXIT.failed,
  url_refused: EXIT.failed,
}

/** The exit code of whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage
  return isLatchkeyError(error) ? (EXIT_CODES[error.code] ?? EXIT.failed) : EXIT.failed
}
