import { type ChallengeSummary, LoginRequiredError } from '../errors/index.ts'
import { shellWord } from '../errors/shell-word.ts'

/** The command that signs in to a server, ready to be pasted into a shell. */
export function loginCommand(server: string, account?: string | null, clientId?: string | null): string {
  return [
    'latchkey login',
    shellWord(server),
    ...(account ? ['--account', shellWord(account)] : []),
    ...(clientId ? ['--client-id', shellWord(clientId)] : []),
  ].join(' ')
}

/** The error of a code path that may not ask a person. */
export function loginRequired(
  server: string,
  {
    account,
    clientId,
    challenge,
    why,
  }: {
    account?: string | null
    clientId?: string | null
    challenge?: ChallengeSummary | undefined
    why?: string
  } = {},
): LoginRequiredError {
  return new LoginRequiredError({
    message: `Sign-in to ${server} is needed${why ? ` (${why})` : ''}.`,
    remedy: `Run: ${loginCommand(server, account, clientId)}`,
    server,
    challenge,
  })
}
