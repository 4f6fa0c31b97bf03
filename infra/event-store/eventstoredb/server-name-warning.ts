// Keeps a warning of Node's from the user: about a TLS server name that is an IP address. The client sets the names, to the
// addresses that the nodes of a cluster give, and no setting changes that.
const addressAsServerName = 'DEP0123'
const emitWarning = process.emitWarning.bind(process) as (...about: unknown[]) => void
process.emitWarning = (...about: unknown[]) => {
  if (!about.includes(addressAsServerName)) emitWarning(...about)
}

export {}
