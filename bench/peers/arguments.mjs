import { parseArgs } from 'node:util'

/** What each peer program is told: the levels of concurrency, how long to warm up and to measure each, ms. */
export const { concurrency, warmupMs, measureMs } = (() => {
  const { values } = parseArgs({
    options: {
      concurrency: { type: 'string', default: '1,50,200' },
      'warmup-ms': { type: 'string', default: '1500' },
      'measure-ms': { type: 'string', default: '5000' },
    },
  })
  return {
    concurrency: values.concurrency.split(',').map(Number),
    warmupMs: Number(values['warmup-ms']),
    measureMs: Number(values['measure-ms']),
  }
})()

export const stepsPerWorkflow = 10

/** One JSON document per line on standard output is all that a peer says. */
export const report = (row) => process.stdout.write(`${JSON.stringify(row)}\n`)
