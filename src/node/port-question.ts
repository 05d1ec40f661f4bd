import { get, type IncomingMessage } from 'node:http'
import type { RedirectAddress } from '../ports.ts'
import { systemClock } from './clock.ts'
import { tellDecision } from './connection-decisions.ts'

/** Where a process asks whether it is a sign-in that holds a port. */
const PATH = '/.latchkey'

/** On the question, so that no web page can ask without the preflight that is never granted; and on the answer. */
const HEADER = 'x-latchkey'
const ANSWER = 'signing-in'

/** How long the answer may take, in milliseconds: a port that is taken for good has to be told of soon. */
const PATIENCE = 700

/** The head of the answer to such a question; `undefined` for every other request. */
export function answerToQuestion(
  path: string,
  { headers }: IncomingMessage,
): Readonly<Record<string, string>> | undefined {
  return path === PATH && headers[HEADER] !== undefined ? { [HEADER]: ANSWER } : undefined
}

/**
 * Whether another process of latchkey takes authorization responses on this port. The port itself is asked: nothing can
 * be left behind that says so when the process is gone.
 */
export async function isSigningIn(host: RedirectAddress['host'], port: number): Promise<boolean> {
  const addresses = host === 'localhost' ? ['127.0.0.1', '[::1]'] : [host]
  const answers = await Promise.all(
    addresses.map((address) => {
      tellDecision({ hostname: address.replace(/[[\]]/g, ''), port, reach: 'loopback' })
      return ask(`http://${address}:${port}${PATH}`)
    }),
  )
  return answers.includes(true)
}

function ask(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, headers: { [HEADER]: '1' } }, (response) => {
      end(response.headers[HEADER] === ANSWER)
    })
    const stop = systemClock.setTimer(() => end(false), PATIENCE)
    const end = (answer: boolean) => {
      stop()
      // A stranger may answer without end.
      request.destroy()
      resolve(answer)
    }
    request.on('error', () => end(false))
  })
}
