import fc from 'fast-check'

/** Set-up of the unit specs: what they try at random is the same in each run, unless another seed is given. */
fc.configureGlobal({ seed: Number(process.env['OMIUM_SPEC_SEED'] ?? 20_260_712) })
