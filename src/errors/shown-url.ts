import { quoteServerText } from './server-text.ts'

/** The longest URL that is looked at, in characters: to parse a host name of a million letters takes seconds. */
const LONGEST_URL = 4096

/** Whether text that somebody else chose is a URL, and of a length that one may have. */
export function isUrl(text: string, base?: string): boolean {
  return text.length <= LONGEST_URL && URL.canParse(text, base)
}

/** A URL as events and errors show it: without user info, query and fragment values. */
export function shownUrl(text: string): string {
  if (!isUrl(text)) return quoteServerText(text, 100)
  const url = new URL(text)
  const names = [...new Set(url.searchParams.keys())]
  // Only http(s) has an origin worth showing.
  const base = url.protocol.startsWith('http')
    ? `${url.origin}${url.pathname}`
    : quoteServerText(url.protocol, 40)
  return names.length === 0
    ? base
    : `${base}?${names.map((name) => `${encodeURIComponent(name)}=…`).join('&')}`
}

/** Whether a server is called by its URL, because nobody gave it a name: a query in it may be a secret and is not in the name. */
export function isUnnamed({ name, url }: { readonly name: string; readonly url: string }): boolean {
  return name === shownUrl(url)
}
