/** The proxies of an environment, as undici's `EnvHttpProxyAgent` takes them. Empty: none for this scheme. */
export interface Proxies {
  readonly httpProxy: string
  readonly httpsProxy: string
  readonly noProxy: string
}

/** What is on this machine is never asked for through a proxy. */
const NEVER = ['localhost', '127.0.0.1', '[::1]']

/**
 * `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, the lower-case spelling first. `HTTP_PROXY` does not count in a CGI program,
 * where a client's `Proxy` header would set it (CVE-2016-5385).
 */
export function proxiesOf(env: Readonly<Record<string, string | undefined>>): Proxies | undefined {
  const httpProxy = env.http_proxy || (env.REQUEST_METHOD ? '' : env.HTTP_PROXY) || ''
  const httpsProxy = env.https_proxy || env.HTTPS_PROXY || ''
  const exceptions = (env.no_proxy || env.NO_PROXY || '').split(/[,\s]+/).filter(Boolean)
  if ((!httpProxy && !httpsProxy) || exceptions.includes('*')) return undefined
  return { httpProxy, httpsProxy, noProxy: [...NEVER, ...exceptions].join(',') }
}
