/**
 * The parts of undici that make connections, by their files: the package's index loads four times as much. The build puts
 * them into a file of their own, so that nothing loads them before the first request.
 */
import connect from 'undici/lib/api/api-connect.js'
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'

export { default as buildConnector } from 'undici/lib/core/connect.js'
export { default as Agent } from 'undici/lib/dispatcher/agent.js'
export { default as EnvHttpProxyAgent } from 'undici/lib/dispatcher/env-http-proxy-agent.js'

// As the index does. Proxies are asked for a tunnel by this method.
Object.assign(Dispatcher.prototype, { connect })
