/** The service that Restate calls: the same ten steps, in a process of its own. Prints `listening <port>`. */
import * as http2 from 'node:http2'
import { createEndpointHandler, service } from '@restatedev/restate-sdk'
import { stepsPerWorkflow } from './arguments.mjs'

const tenSteps = service({
  name: 'tenSteps',
  handlers: {
    run: async (context, start) => {
      let value = start
      for (let step = 0; step < stepsPerWorkflow; step++)
        value = (await context.run(`step-${step}`, async () => ({ value: value + 1 }))).value
      return value
    },
  },
})
const server = http2.createServer(createEndpointHandler({ services: [tenSteps] }))
server.listen(0, '127.0.0.1', () => process.stdout.write(`listening ${server.address().port}\n`))
process.stdin.resume().once('end', () => process.exit(0))
