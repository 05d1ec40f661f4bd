import { type ChallengeSummary, LoginRequiredError } from '../errors/index.ts'

/** The command that signs in to a server, ready to be pasted into a shell. */
export function loginCommand(server: string, account?: string | null): string {
  return ['latchkey login', quoted(server), ...(account ? ['--account', quoted(account)] : [])].join(' ')
}

/** The error of a code path that may not ask a person. */
export function loginRequired(
  server: string,
  {
    account,
    challenge,
    why,
  }: { account?: string | null; challenge?: ChallengeSummary | undefined; why?: string } = {},
): LoginRequiredError {
  return new LoginRequiredError({
    message: `Sign-in to ${server} is needed${why ? ` (${why})` : ''}.`,
    remedy: `Run: ${loginCommand(server, account)}`,
    server,
    challenge,
  })
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
