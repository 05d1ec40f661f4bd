import type { Sendable } from './sendable.ts'

/** What a request asks the server to do, as far as it says: `tools/call search_issues`, else its method and URL. */
export function operationOf({ url, init: { method = 'GET', body } }: Sendable): string {
  const message = jsonOf(body)
  const { method: asked, params } = (message ?? {}) as { method?: unknown; params?: Record<string, unknown> }
  if (typeof asked !== 'string') return `${method} ${url}`
  return [asked, params?.name ?? params?.uri].filter((each) => typeof each === 'string').join(' ')
}

function jsonOf(body: unknown): unknown {
  try {
    return JSON.parse(body instanceof ArrayBuffer ? new TextDecoder().decode(body) : String(body))
  } catch {
    return undefined
  }
}
