#!/bin/sh
# solc from npm behind the command line that forge expects of the native one. GATE_MODULES: node_modules.
case "$*" in
  *--version*)
    echo "solc, the solidity compiler commandline interface"
    exec node -e 'console.log("Version: " + require(process.env.GATE_MODULES + "/solc").version())' ;;
  *) exec node --stack-size=8000 -e '
      const solc = require(process.env.GATE_MODULES + "/solc");
      process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));' ;;
esac
