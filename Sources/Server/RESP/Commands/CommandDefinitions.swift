extension CommandTable {
  private static let none = (first: 0, last: 0, step: 0)
  private static let one = (first: 1, last: 1, step: 1)
  private static let two = (first: 1, last: 2, step: 1)
  private static let all = (first: 1, last: -1, step: 1)
  private static let pairs = (first: 1, last: -1, step: 2)

  private typealias Keys = (first: Int, last: Int, step: Int)

  private static func string(
    _ id: CommandID, _ arity: Int, _ flags: CommandSpec.Flags, _ keys: Keys, _ since: String, _ complexity: String, _ summary: String
  ) -> CommandSpec {
    CommandSpec(
      id: id, name: "\(id)", arity: arity, flags: flags, keys: keys, group: "string", since: since, summary: summary, complexity: complexity)
  }

  private static func generic(
    _ id: CommandID, _ arity: Int, _ flags: CommandSpec.Flags, _ keys: Keys, _ since: String, _ complexity: String, _ summary: String
  ) -> CommandSpec {
    var spec = string(id, arity, flags, keys, since, complexity, summary)
    spec.group = "generic"
    return spec
  }

  private static func server(
    _ id: CommandID, _ arity: Int, _ flags: CommandSpec.Flags, _ since: String, _ complexity: String, _ summary: String,
    _ subcommands: [String] = [], group: String = "server"
  ) -> CommandSpec {
    var spec = string(id, arity, flags, none, since, complexity, summary)
    spec.group = group
    spec.subcommands = subcommands
    return spec
  }

  /// The definitions in the order of ``CommandID``.
  static let definitions: [CommandSpec] = strings + numbers + filters + keyspace + connection

  private static let strings: [CommandSpec] = [
    string(.get, 2, [.readonly, .fast], one, "1.0.0", "O(1)", "Get the value of a key"),
    string(.set, -3, [.write, .denyOOM], one, "1.0.0", "O(1)", "Set the string value of a key"),
    string(.setnx, 3, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Set the value of a key, only if the key does not exist"),
    string(.setex, 4, [.write, .denyOOM], one, "2.0.0", "O(1)", "Set the value and expiration in seconds of a key"),
    string(.psetex, 4, [.write, .denyOOM], one, "2.6.0", "O(1)", "Set the value and expiration in milliseconds of a key"),
    string(.getset, 3, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Set the string value of a key and return its old value"),
    string(.getdel, 2, [.write, .fast], one, "6.2.0", "O(1)", "Get the value of a key and delete the key"),
    string(.getex, -2, [.write, .fast], one, "6.2.0", "O(1)", "Get the value of a key and optionally set its expiration"),
    string(.mget, -2, [.readonly, .fast], all, "1.0.0", "O(N)", "Get the values of all the given keys"),
    string(.mset, -3, [.write, .denyOOM], pairs, "1.0.1", "O(N)", "Set multiple keys to multiple values"),
    string(.msetnx, -3, [.write, .denyOOM], pairs, "1.0.1", "O(N)", "Set multiple keys to multiple values, only if none of the keys exist"),
    string(.strlen, 2, [.readonly, .fast], one, "2.2.0", "O(1)", "Get the length of the value stored in a key"),
    string(.append, 3, [.write, .denyOOM, .fast], one, "2.0.0", "O(N) of the resulting length", "Append a value to a key"),
    string(.getrange, 4, [.readonly], one, "2.4.0", "O(N) of the value's length", "Get a substring of the string stored at a key"),
    string(.substr, 4, [.readonly], one, "1.0.0", "O(N) of the value's length", "Get a substring of the string stored at a key"),
    string(
      .setrange, 4, [.write, .denyOOM], one, "2.2.0", "O(N) of the resulting length", "Overwrite part of a string at key starting at the offset"),
  ]

  private static let numbers: [CommandSpec] = [
    string(.incr, 2, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Increment the integer value of a key by one"),
    string(.incrby, 3, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Increment the integer value of a key by the given amount"),
    string(.incrbyfloat, 3, [.write, .denyOOM, .fast], one, "2.6.0", "O(1)", "Increment the float value of a key by the given amount"),
    string(.decr, 2, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Decrement the integer value of a key by one"),
    string(.decrby, 3, [.write, .denyOOM, .fast], one, "1.0.0", "O(1)", "Decrement the integer value of a key by the given number"),
  ]

  /// A command on Bloom (`bf`) or cuckoo (`cf`) filters.
  private static func filter(
    _ id: CommandID, _ name: String, _ arity: Int, _ flags: CommandSpec.Flags, _ complexity: String, _ summary: String
  ) -> CommandSpec {
    CommandSpec(
      id: id, name: name, arity: arity, flags: flags, keys: one, group: String(name.prefix(2)), since: "1.0.0", summary: summary,
      complexity: complexity)
  }

  private static let filters: [CommandSpec] = [
    filter(.bfReserve, "bf.reserve", -4, [.write, .denyOOM, .fast], "O(1)", "Creates a new Bloom Filter"),
    filter(.bfAdd, "bf.add", 3, [.write, .denyOOM, .fast], "O(sub-filters)", "Adds an item to a Bloom Filter"),
    filter(.bfMadd, "bf.madd", -3, [.write, .denyOOM], "O(items * sub-filters)", "Adds one or more items to a Bloom Filter"),
    filter(
      .bfInsert, "bf.insert", -4, [.write, .denyOOM], "O(items * sub-filters)",
      "Adds one or more items to a Bloom Filter. A filter will be created if it does not exist"),
    filter(.bfExists, "bf.exists", 3, [.readonly, .fast], "O(sub-filters)", "Checks whether an item exists in a Bloom Filter"),
    filter(.bfMexists, "bf.mexists", -3, [.readonly], "O(items * sub-filters)", "Checks whether one or more items exist in a Bloom Filter"),
    filter(.bfInfo, "bf.info", -2, [.readonly, .fast], "O(1)", "Returns information about a Bloom Filter"),
    filter(.bfCard, "bf.card", 2, [.readonly, .fast], "O(1)", "Returns the cardinality of a Bloom filter"),
    filter(.cfReserve, "cf.reserve", -3, [.write, .denyOOM, .fast], "O(1)", "Creates a new Cuckoo Filter"),
    filter(.cfAdd, "cf.add", 3, [.write, .denyOOM, .fast], "O(sub-filters)", "Adds an item to a Cuckoo Filter"),
    filter(
      .cfAddnx, "cf.addnx", 3, [.write, .denyOOM, .fast], "O(sub-filters)", "Adds an item to a Cuckoo Filter if the item did not exist previously."),
    filter(
      .cfInsert, "cf.insert", -4, [.write, .denyOOM], "O(items * sub-filters)",
      "Adds one or more items to a Cuckoo Filter. A filter will be created if it does not exist"),
    filter(
      .cfInsertnx, "cf.insertnx", -4, [.write, .denyOOM], "O(items * sub-filters)",
      "Adds one or more items to a Cuckoo Filter if the items did not exist previously. A filter will be created if it does not exist"),
    filter(.cfExists, "cf.exists", 3, [.readonly, .fast], "O(sub-filters)", "Checks whether an item exists in a Cuckoo Filter"),
    filter(.cfMexists, "cf.mexists", -3, [.readonly], "O(items * sub-filters)", "Checks whether one or more items exist in a Cuckoo Filter"),
    filter(.cfDel, "cf.del", 3, [.write, .fast], "O(sub-filters)", "Deletes an item from a Cuckoo Filter"),
    filter(
      .cfCount, "cf.count", 3, [.readonly, .fast], "O(sub-filters)", "Return the number of times an item might be in a Cuckoo Filter"),
    filter(.cfInfo, "cf.info", 2, [.readonly, .fast], "O(1)", "Returns information about a Cuckoo Filter"),
  ]

  private static let keyspace: [CommandSpec] = [
    generic(.del, -2, [.write], all, "1.0.0", "O(N)", "Delete a key"),
    generic(.unlink, -2, [.write, .fast], all, "4.0.0", "O(N)", "Delete a key; the space is reclaimed by a merge"),
    generic(.exists, -2, [.readonly, .fast], all, "1.0.0", "O(N)", "Determine if a key exists"),
    generic(.touch, -2, [.readonly, .fast], all, "3.2.1", "O(N)", "Count the given keys that exist"),
    generic(.type, 2, [.readonly, .fast], one, "1.0.0", "O(1)", "Determine the type stored at key"),
    generic(.expire, -3, [.write, .fast], one, "1.0.0", "O(N) of the value's length", "Set a key's time to live in seconds"),
    generic(.pexpire, -3, [.write, .fast], one, "2.6.0", "O(N) of the value's length", "Set a key's time to live in milliseconds"),
    generic(.expireat, -3, [.write, .fast], one, "1.2.0", "O(N) of the value's length", "Set the expiration for a key as a UNIX timestamp"),
    generic(
      .pexpireat, -3, [.write, .fast], one, "2.6.0", "O(N) of the value's length", "Set the expiration for a key in milliseconds since the epoch"),
    generic(.ttl, 2, [.readonly, .fast], one, "1.0.0", "O(1)", "Get the time to live for a key in seconds"),
    generic(.pttl, 2, [.readonly, .fast], one, "2.6.0", "O(1)", "Get the time to live for a key in milliseconds"),
    generic(.expiretime, 2, [.readonly, .fast], one, "7.0.0", "O(1)", "Get the expiration Unix timestamp for a key"),
    generic(.pexpiretime, 2, [.readonly, .fast], one, "7.0.0", "O(1)", "Get the expiration Unix timestamp for a key in milliseconds"),
    generic(.persist, 2, [.write, .fast], one, "2.2.0", "O(N) of the value's length", "Remove the expiration from a key"),
    generic(.rename, 3, [.write], two, "1.0.0", "O(N) of the value's length", "Rename a key"),
    generic(.renamenx, 3, [.write, .fast], two, "1.0.0", "O(N) of the value's length", "Rename a key, only if the new key does not exist"),
    generic(.copy, -3, [.write, .denyOOM], two, "6.2.0", "O(N) of the value's length", "Copy a key"),
    generic(.keys, 2, [.readonly, .slow], none, "1.0.0", "O(N) of the keys of all databases", "Find all keys matching the given pattern"),
    generic(.scan, -2, [.readonly], none, "2.8.0", "O(1) for every call", "Incrementally iterate the keys space"),
    generic(.randomkey, 1, [.readonly], none, "1.0.0", "O(1)", "Return a random key from the keyspace"),
    server(.dbsize, 1, [.readonly, .fast], "1.0.0", "O(1)", "Return the number of keys in the selected database"),
    server(.flushdb, -1, [.write, .slow], "1.0.0", "O(N) of the keys of all databases", "Remove all keys from the current database"),
    server(.flushall, -1, [.write, .slow], "1.0.0", "O(N) of the keys of all databases", "Remove all keys from all databases"),
  ]

  private static let session: CommandSpec.Flags = [.noScript, .loading, .stale, .fast]

  private static let connection: [CommandSpec] = [
    server(.ping, -1, [.fast], "1.0.0", "O(1)", "Ping the server", group: "connection"),
    server(.echo, 2, [.loading, .stale, .fast], "1.0.0", "O(1)", "Echo the given string", group: "connection"),
    server(.hello, -1, session.union(.noAuth), "6.0.0", "O(1)", "Handshake with the server", group: "connection"),
    server(.auth, -2, session.union(.noAuth), "1.0.0", "O(N) of the password's length", "Authenticate to the server", group: "connection"),
    server(.select, 2, [.loading, .stale, .fast], "1.0.0", "O(1)", "Change the selected database for the current connection", group: "connection"),
    server(.quit, -1, session.union(.noAuth), "1.0.0", "O(1)", "Close the connection", group: "connection"),
    server(.reset, 1, session.union(.noAuth), "6.2.0", "O(1)", "Reset the connection", group: "connection"),
    server(
      .client, -2, [], "2.4.0", "Depends on subcommand.", "A container for client connection commands",
      ["getname", "help", "id", "info", "kill", "list", "no-evict", "setinfo", "setname"], group: "connection"),
    server(
      .command, -1, [.loading, .stale], "2.8.13", "O(N) of the number of commands", "Get array of command details",
      ["count", "docs", "help", "info"]),
    server(.info, -1, [.loading, .stale], "1.0.0", "O(1)", "Get information and statistics about the server"),
    server(.config, -2, [], "2.0.0", "Depends on subcommand.", "A container for server configuration commands", ["get", "help", "resetstat", "set"]),
    server(.save, 1, [.admin, .noScript, .slow], "1.0.0", "O(N) of the bytes not yet synced", "Make every write so far durable"),
    server(.bgsave, -1, [.admin, .noScript], "1.0.0", "O(1)", "Make every write so far durable in the background"),
    server(.lastsave, 1, [.loading, .stale, .fast], "1.0.0", "O(1)", "Get the UNIX time stamp of the last explicit sync"),
    server(.bgrewriteaof, 1, [.admin, .noScript], "1.0.0", "O(1)", "Start a merge, which reclaims the space of dead records"),
    generic(.wait, 3, [.noScript], none, "3.0.0", "O(1)", "Wait until all writes before are durable; there are no replicas"),
    server(.time, 1, [.loading, .stale, .fast], "2.6.0", "O(1)", "Return the current server time"),
    server(.monitor, 1, [.admin, .noScript, .loading, .stale], "1.0.0", "O(1)", "Listen for all requests received by the server in real time"),
    server(
      .slowlog, -2, [], "2.2.12", "Depends on subcommand.", "A container for slow log commands", ["get", "help", "len", "reset"]),
    server(
      .latency, -2, [], "2.8.13", "Depends on subcommand.", "A container for latency diagnostics commands",
      ["doctor", "help", "history", "latest", "reset"]),
    server(.shutdown, -1, [.admin, .noScript, .loading, .stale], "1.0.0", "O(N) of the bytes not yet synced", "Sync, close and stop the server"),
    server(.role, 1, [.noScript, .loading, .stale, .fast], "2.8.12", "O(members)", "Return the role of the instance in the context of replication"),
    server(
      .raft, -2, [.admin, .noScript], "7.0.15", "Depends on subcommand.", "Look at and change the group a key space is replicated in",
      ["add", "addlearner", "demote", "promote", "remove", "replace", "status", "transfer"]),
  ]
}
