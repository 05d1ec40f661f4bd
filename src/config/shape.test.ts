import { expect, test } from 'vitest'
import { findServers } from './shape.ts'

const servers = { a: { url: 'https://a.example.com/' } }

test.each([
  [{ mcpServers: servers }, 'mcpServers'],
  [{ mcpServers: {} }, 'mcpServers'],
  [{ mcpServers: servers, mcp: { servers: {} }, theme: 'dark' }, 'mcpServers'],
  [{ servers, inputs: [] }, 'servers'],
  [{ mcp: { servers } }, 'mcp.servers'],
])('%j keeps its servers under %s', (document, path) => {
  expect(findServers(document).path).toBe(path)
})

test.each([
  ['an array', [], 'expected an object'],
  ['a string', 'x', 'expected an object'],
  ['null', null, 'expected an object'],
  ['nothing', {}, 'no servers found'],
  ['mcpServers that is a list', { mcpServers: [] }, 'mcpServers: found an empty array'],
  ['mcpServers that is null', { mcpServers: null }, 'mcpServers: found null'],
  ['both tables', { mcpServers: {}, servers: {} }, 'one of them'],
  ['a misspelt table', { mcp_servers: {} }, 'Rename it to `mcpServers`'],
  ['servers without a table', servers, 'Wrap them: {"mcpServers": {…}}'],
  ['per-project servers only', { projects: {} }, 'under `projects` is not read'],
  ['an inherited table', Object.create({ mcpServers: servers }), 'no servers found'],
])('%s is refused', (_, document, message) => {
  expect(() => findServers(document)).toThrow(message)
})
