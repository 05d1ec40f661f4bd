import { expect, test } from 'vitest'
import { checkedProxies, proxiesOf } from './proxy-environment.ts'

const PROXY = 'http://proxy.example:3128'
const near = 'localhost,127.0.0.1,[::1]'

test.each([
  [{}, undefined],
  [{ HTTPS_PROXY: '' }, undefined],
  [{ HTTPS_PROXY: PROXY }, { httpProxy: '', httpsProxy: PROXY, noProxy: near }],
  [
    { https_proxy: PROXY, HTTPS_PROXY: 'http://other' },
    { httpProxy: '', httpsProxy: PROXY, noProxy: near },
  ],
  [{ HTTPS_PROXY: 'proxy.example:3128' }, { httpProxy: '', httpsProxy: PROXY, noProxy: near }],
  [{ HTTP_PROXY: PROXY }, { httpProxy: PROXY, httpsProxy: '', noProxy: near }],
  [
    { HTTPS_PROXY: PROXY, NO_PROXY: '.a.example, b' },
    { httpProxy: '', httpsProxy: PROXY, noProxy: `${near},.a.example,b` },
  ],
  [{ HTTPS_PROXY: PROXY, no_proxy: '*' }, undefined],
])('%j → %j', (env, expected) => {
  expect(proxiesOf(env)).toEqual(expected)
})

test('a Proxy header that a CGI server turned into HTTP_PROXY chooses no proxy (CVE-2016-5385)', () => {
  expect(proxiesOf({ REQUEST_METHOD: 'GET', HTTP_PROXY: PROXY })).toBeUndefined()
})

test.each([
  'ftp://proxy.example',
  'http://',
  'socks5h://proxy.example:1080',
  'http://user:hunter2hunter2@[proxy',
])('%s is no proxy that can be used: an error that names the variable, and not what is in it', (proxy) => {
  const check = () => checkedProxies(proxiesOf({ HTTPS_PROXY: proxy })!)
  expect(check).toThrow(expect.objectContaining({ code: 'config_invalid', key: 'HTTPS_PROXY' }))
  expect(check).not.toThrow(/hunter2/)
})
