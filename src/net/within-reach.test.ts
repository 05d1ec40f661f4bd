import { expect, test } from 'vitest'
import { UrlRefusedError } from '../errors/index.ts'
import { ADDRESS_REFUSED, type Reach, type Whereabouts } from '../ports.ts'
import { createUrlPolicy } from './url-policy.ts'
import { createWithinReach } from './within-reach.ts'

const NEIGHBOUR = new URL('https://sso.corp.example/token')

/** What is found at the server's own address, and what was tried at its neighbour's. */
function corporate(serverUrl: string, isPrivate: boolean) {
  const asked: string[] = []
  const tried: Reach[] = []
  const whereabouts: Whereabouts = {
    judgesAll: true,
    assertWithin: async () => {},
    isPrivate: async (origin) => {
      asked.push(origin)
      return isPrivate
    },
  }
  const within = createWithinReach(createUrlPolicy(serverUrl), whereabouts)
  const connect = () =>
    within(NEIGHBOUR, async (reach) => {
      tried.push(reach)
      if (reach !== 'public') return 'connected'
      const cause = Object.assign(new Error(), { code: ADDRESS_REFUSED })
      throw new UrlRefusedError({ message: 'refused', url: NEIGHBOUR.href, purpose: 'x', cause })
    })
  return { connect, asked, tried }
}

test('a server that shows its certificate in a private network may name its neighbours, and is asked once', async () => {
  const { connect, asked, tried } = corporate('https://mcp.corp.example/mcp', true)
  expect(await connect()).toBe('connected')
  expect(await connect()).toBe('connected')
  expect(asked).toEqual(['https://mcp.corp.example'])
  expect(tried).toEqual(['public', 'private', 'private'])
})

test('a server on the internet may not', async () => {
  const { connect, tried } = corporate('https://mcp.example/mcp', false)
  await expect(connect()).rejects.toMatchObject({ code: 'url_refused' })
  expect(tried).toEqual(['public'])
})

test('nor one without a certificate: a DNS answer shows nothing', async () => {
  const { connect, asked } = corporate('http://mcp.example/mcp', true)
  await expect(connect()).rejects.toMatchObject({ code: 'url_refused' })
  expect(asked).toEqual([])
})

test('another failure is not a reason to look further', async () => {
  const whereabouts: Whereabouts = {
    judgesAll: true,
    assertWithin: async () => {},
    isPrivate: () => Promise.reject(new Error('nobody asks')),
  }
  const within = createWithinReach(createUrlPolicy('https://mcp.example/mcp'), whereabouts)
  await expect(within(NEIGHBOUR, () => Promise.reject(new Error('refused otherwise')))).rejects.toThrow(
    'refused otherwise',
  )
})
