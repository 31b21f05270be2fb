/// Which function carries out which command on filters.
extension CommandContext {
  mutating func dispatchFilter(_ id: CommandID, _ call: Invocation) throws(CommandError) {
    switch id {
    case .bfReserve: try reserveBloom(call)
    case .bfAdd: try addToBloom(call, 2, many: false)
    case .bfMadd: try addToBloom(call, 2, many: true)
    case .bfInsert: try insertIntoBloom(call)
    case .bfExists: try lookUpInBloom(call, many: false)
    case .bfMexists: try lookUpInBloom(call, many: true)
    case .bfInfo: try describeBloom(call)
    case .bfCard: try countBloom(call)
    case .cfReserve: try reserveCuckoo(call)
    case .cfAdd: try addToCuckoo(call, unique: false)
    case .cfAddnx: try addToCuckoo(call, unique: true)
    case .cfInsert: try insertIntoCuckoo(call, unique: false)
    case .cfInsertnx: try insertIntoCuckoo(call, unique: true)
    case .cfExists: try lookUpInCuckoo(call, many: false)
    case .cfMexists: try lookUpInCuckoo(call, many: true)
    case .cfDel: try removeFromCuckoo(call)
    case .cfCount: try countInCuckoo(call)
    case .cfInfo: try describeCuckoo(call)
    default: throw .failed("ERR '\(id)' is not a command on keys")
    }
  }
}
