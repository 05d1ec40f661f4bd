import type { ServerResponse } from 'node:http'
import type { CallbackPage } from './callback-page.ts'
import { contentSecurityPolicy } from './callback-page-style.ts'
import type { Refusal } from './loopback-listener-request.ts'

const everyAnswer = {
  // One request per connection: nothing stays open that would keep the port busy.
  Connection: 'close',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': contentSecurityPolicy,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

export const nothingHere: Refusal = { status: 404, reason: 'There is nothing here.' }

export function sendPage(response: ServerResponse, page: CallbackPage): void {
  send(response, page.status, { 'Content-Type': 'text/html; charset=utf-8' }, page.html)
}

export function sendRefusal(response: ServerResponse, { status, reason, headers }: Refusal): void {
  send(response, status, { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, `${reason}\n`)
}

export function sendRedirect(response: ServerResponse, status: 302 | 303, location: string): void {
  send(response, status, { Location: location }, '')
}

/** An answer that is all head. */
export function sendNothing(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  response.writeHead(204, { ...everyAnswer, ...headers }).end()
}

function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): void {
  const bytes = Buffer.from(body)
  response.writeHead(status, { ...everyAnswer, ...headers, 'Content-Length': bytes.length })
  response.end(bytes)
}
