import { type ChallengeSummary, LoginRequiredError } from '../errors/index.ts'

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

/** A word as a POSIX shell reads it back. */
export function shellWord(word: string): string {
  // A leading dash would be read as a flag all the same, but not by accident of quoting.
  return /^[\w@%+=:,./][\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
