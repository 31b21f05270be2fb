import StrataBytes
import StrataSSTable
import StrataWriteAheadLog

// The commit pipeline (Pebble's): one short lock orders a write in log, memtables and publication; applying runs outside it, concurrently;
// publication follows the order; the log's group commit acknowledges.

/// What a write holds between its order and its application.
struct Reservation {
  var first: UInt64
  var last: UInt64
  var place: UInt64
  var ticket: CommitTicket?
}

/// What a write lacks before it can be ordered.
enum Shortage {
  /// A place in the order of publication.
  case place
  /// Room in a memtable of the keyspace.
  case memtable(Keyspace)
  /// Room in the log for a record of so many bytes.
  case log(Int)
  /// Memory for so many bytes besides what memtables have.
  case memory(Int)
}

extension LSMCore {
  /// A write of one entry: the path without a batch.
  func writeOne(
    _ kind: EntryKind, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ keyspace: Keyspace, _ options: WriteOptions
  ) throws(LSMError) -> (version: UInt64, ticket: CommitTicket?) {
    guard key.count <= TableLimits.keyBytes else { throw .keyTooLarge(key.count) }
    guard value.count <= TableLimits.valueBytes else { throw .valueTooLarge(value.count) }
    try check(keyspace)
    let capacity = BatchFormat.headerBytes + BatchFormat.entryBound(key: key.count, value: value.count)
    guard capacity <= batchLimit else { throw .batchTooLarge(bytes: capacity, limit: batchLimit) }
    let bound = Skiplist.nodeBound(key: key.count, value: value.count)
    return try withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { (buffer) throws(LSMError) in
      guard let base = buffer.baseAddress else { throw .closed }
      let length =
        BatchFormat.headerBytes + BatchFormat.put(kind, key, value, keyspace: keyspace.id, at: base + BatchFormat.headerBytes)
      let record = UnsafeMutableRawBufferPointer(start: base, count: length)
      while true {
        try admit(bytes: length, keyspace, options)
        var memtable: Memtable?
        var shortage = Shortage.place
        let reservation = try commit.withLock { (state) throws(LSMError) -> Reservation? in
          try state.checkOpen()
          if state.recordBytes >= state.nextCheck, !relieve(&state) {
            shortage = .memory(0)
            return nil
          }
          guard ring.hasRoom else { return nil }
          if let own = ownArenaBytes(keyspace, bound), !relieveMemory(&state, forAnother: own) {
            shortage = .memory(own)
            return nil
          }
          guard try reserve(keyspace, bound, 1, &state) else {
            shortage = .memtable(keyspace)
            return nil
          }
          memtable = keyspace.active
          // Comes while the log takes the record.
          keyspace.active.prefetch(key)
          do throws(LSMError) {
            if let reservation = try order(record, count: 1, version: nil, options, &state) {
              keyspace.note(reservation)
              return reservation
            }
            shortage = .log(length)
            keyspace.active.cancel(bound, entries: 1)
            return nil
          } catch {
            keyspace.active.cancel(bound, entries: 1)
            throw error
          }
        }
        guard let reservation, let memtable else {
          try wait(for: shortage, options)
          continue
        }
        if kind == .rangeDeletion {
          memtable.deleteRange(from: key, to: value, sequence: reservation.first)
        } else {
          memtable.withSplice(Epochs.threadSlot) { splice in
            memtable.insert(key: key, trailer: Trailer(reservation.first, kind), value: value, &splice)
          }
        }
        memtable.finish(bound, newest: reservation.last)
        publish(reservation)
        return (reservation.last, reservation.ticket)
      }
    }
  }

  /// A batch, encoded behind room for its header.
  func writeBatch(_ batch: inout WriteBatch, version: UInt64?, _ options: WriteOptions) throws(LSMError) -> (
    version: UInt64, ticket: CommitTicket?
  ) {
    guard batch.byteCount <= batchLimit else { throw .batchTooLarge(bytes: batch.byteCount, limit: batchLimit) }
    let count = batch.sequenceCount
    guard count > 0 else { return (try commit.withLock { (state) throws(LSMError) in try emptyWrite(version, &state) }, nil) }
    let shares = try shares(of: batch)
    return try batch.writer.bytes.withUnsafeBytes { (bytes) throws(LSMError) in
      // The batch is this function's alone, and its header is the room that was left for it.
      try write(UnsafeMutableRawBufferPointer(mutating: bytes), count, shares, version, options)
    }
  }

  /// What the keyspaces of a batch must hold, each of them once: the default one may stand in a batch by its name and as none.
  private func shares(of batch: borrowing WriteBatch) throws(LSMError) -> [WriteBatch.Share] {
    var shares: [WriteBatch.Share] = []
    for var share in [batch.first] + batch.others {
      let keyspace = share.keyspace ?? defaultKeyspace
      try check(keyspace)
      if let index = shares.firstIndex(where: { $0.keyspace === keyspace }) {
        shares[index].bytes += share.bytes
        shares[index].entries += share.entries
      } else {
        share.keyspace = keyspace
        shares.append(share)
      }
    }
    return shares
  }

  private func write(
    _ record: UnsafeMutableRawBufferPointer, _ count: Int, _ shares: [WriteBatch.Share], _ version: UInt64?, _ options: WriteOptions
  ) throws(LSMError) -> (version: UInt64, ticket: CommitTicket?) {
    while true {
      try admit(bytes: record.count, shares[0].keyspace ?? defaultKeyspace, options)
      var memtables: [Memtable] = []
      var shortage = Shortage.place
      let reservation = try commit.withLock { (state) throws(LSMError) -> Reservation? in
        try state.checkOpen()
        if state.recordBytes >= state.nextCheck, !relieve(&state) {
          shortage = .memory(0)
          return nil
        }
        guard ring.hasRoom else { return nil }
        let own = shares.reduce(0) { $0 + (ownArenaBytes($1.keyspace ?? defaultKeyspace, $1.bytes) ?? 0) }
        if own > 0, !relieveMemory(&state, forAnother: own) {
          shortage = .memory(own)
          return nil
        }
        func undo() {
          for (share, memtable) in zip(shares, memtables) { memtable.cancel(share.bytes, entries: share.entries) }
          memtables = []
        }
        do throws(LSMError) {
          for share in shares {
            let keyspace = share.keyspace ?? defaultKeyspace
            guard try reserve(keyspace, share.bytes, share.entries, &state) else {
              shortage = .memtable(keyspace)
              undo()
              return nil
            }
            memtables.append(keyspace.active)
          }
          guard let reservation = try order(record, count: count, version: version, options, &state) else {
            shortage = .log(record.count)
            undo()
            return nil
          }
          for share in shares { (share.keyspace ?? defaultKeyspace).note(reservation) }
          return reservation
        } catch {
          undo()
          throw error
        }
      }
      guard let reservation else {
        try wait(for: shortage, options)
        continue
      }
      apply(record, reservation, shares, memtables)
      publish(reservation)
      return (reservation.last, reservation.ticket)
    }
  }

  /// A batch without changes only raises the version where one was given.
  private func emptyWrite(_ version: UInt64?, _ state: inout CommitState) throws(LSMError) -> UInt64 {
    try state.checkOpen()
    guard let version else { return state.lastSequence }
    guard version >= state.lastSequence, version <= Trailer.maxSequence else {
      throw .versionOutOfOrder(given: version, atLeast: state.lastSequence)
    }
    return state.lastSequence
  }

  /// Inserts the entries of a record, which this process has encoded, into the memtables of its shares.
  private func apply(
    _ record: UnsafeMutableRawBufferPointer, _ reservation: Reservation, _ shares: [WriteBatch.Share], _ memtables: [Memtable]
  ) {
    let only = shares.count == 1 ? memtables[0] : nil
    let slot = Epochs.threadSlot
    func insert(_ memtable: Memtable, _ splice: inout Skiplist.Splice, where keyspace: UInt32?) {
      var reader = ByteReader(UnsafeRawBufferPointer(record).bytes)
      var sequence = reservation.first
      do throws(DecodeError) {
        _ = try BatchFormat.readHeader(&reader)
        while !reader.isAtEnd {
          let entry = try BatchFormat.readEntry(&reader)
          if keyspace == nil || entry.keyspace == keyspace { memtable.add(entry, sequence, &splice) }
          sequence += 1
        }
      } catch { preconditionFailure("a batch just encoded cannot be read: \(error)") }
    }
    if let only {
      only.withSplice(slot) { insert(only, &$0, where: nil) }
    } else {
      for (share, memtable) in zip(shares, memtables) {
        memtable.withSplice(slot) { insert(memtable, &$0, where: share.keyspace?.id ?? 0) }
      }
    }
    for (share, memtable) in zip(shares, memtables) { memtable.finish(share.bytes, newest: reservation.last) }
  }

  /// Makes a write visible once all before it are, which its writer waits for: who has written reads what was written.
  @inline(__always)
  private func publish(_ reservation: Reservation) {
    ring.publish(reservation.place, last: reservation.last)
    ring.wait(for: reservation.last)
  }

  // MARK: Under the commit lock

  /// Promises room in the keyspace's active memtable, sealing a full one; `false` where writers have to wait for a flush.
  private func reserve(_ keyspace: Keyspace, _ bytes: Int, _ entries: Int, _ state: inout CommitState) throws(LSMError) -> Bool {
    if keyspace.active.reserve(bytes, entries: entries) { return true }
    guard sealedCount(keyspace) < options.maxSealedMemtables else { return false }
    seal(keyspace, &state, atLeast: bytes)
    guard keyspace.active.reserve(bytes, entries: entries) else { throw .batchTooLarge(bytes: bytes, limit: options.memtableBytes) }
    return true
  }

  /// The memory of a memtable that has to be made for entries which fit into none of the usual size; `nil` where none has to be.
  @inline(__always)
  func ownArenaBytes(_ keyspace: Keyspace, _ bytes: Int) -> Int? {
    let least = Memtable.arenaBytes(forEntries: bytes)
    return least > options.memtableBytes && !keyspace.active.hasRoom(bytes) ? least : nil
  }

  /// Seals what holds too much: the keyspace with the oldest changes where the log has grown over its cap, the largest memtable where all of them
  /// take too much memory. Before anything is reserved, so that no write is split by it.
  /// - Returns: whether the write may go on.
  private func relieve(_ state: inout CommitState) -> Bool {
    guard relieveMemory(&state) else { return false }
    if log.statistics.diskBytes > UInt64(options.maxLogBytes),
      let oldest = allKeyspaces.filter({ $0.activeFirstLog > 0 && !$0.active.isEmpty && sealedCount($0) < options.maxSealedMemtables })
        .min(by: { $0.activeFirstLog < $1.activeFirstLog })
    {
      seal(oldest, &state)
    }
    state.nextCheck = state.recordBytes + memoryStride
    return true
  }

  /// Gives the record its sequences and its places in the log and in the order of publication; `nil` where the log has no room for it.
  private func order(
    _ record: UnsafeMutableRawBufferPointer, count: Int, version: UInt64?, _ options: WriteOptions, _ state: inout CommitState
  ) throws(LSMError) -> Reservation? {
    let next = state.lastSequence + UInt64(count)
    let last = version ?? next
    guard last >= next, last <= Trailer.maxSequence else { throw .versionOutOfOrder(given: last, atLeast: next) }
    let first = last - UInt64(count) + 1
    BatchFormat.write(BatchFormat.Header(previous: state.lastLogged, first: first, count: UInt32(count)), to: record)
    var ticket: CommitTicket?
    if !options.skipsLog {
      do throws(WALError) {
        let taken = try log.order(
          kind: BatchFormat.logKind, UnsafeRawBufferPointer(record), durability: options.durability ?? self.options.durability, mark: last)
        guard let taken else { return nil }
        ticket = taken
        state.lastLogged = last
        state.lastLog = taken.last
      } catch {
        let failure = LSMError(error)
        if case .readOnly(let cause) = failure { state.failure = state.failure ?? cause }
        throw failure
      }
    }
    state.lastSequence = last
    state.recordBytes += UInt64(record.count)
    state.userBytes += UInt64(record.count - BatchFormat.headerBytes)
    return Reservation(first: first, last: last, place: ring.enqueue(), ticket: ticket)
  }
}

extension Keyspace {
  /// Notes the log record of a write into the active memtable. Under the commit lock.
  @inline(__always)
  func note(_ reservation: Reservation) {
    if activeFirstLog == 0, let ticket = reservation.ticket { activeFirstLog = ticket.last }
  }
}

extension CommitState {
  func checkOpen() throws(LSMError) {
    if isClosed { throw .closed }
    if let failure { throw .readOnly(cause: failure) }
  }
}

extension Memtable {
  /// Adds an entry of a batch into reserved room.
  @inline(__always)
  func add(_ entry: borrowing BatchFormat.Entry, _ sequence: UInt64, _ splice: inout Skiplist.Splice) {
    entry.key.withUnsafeBytes { key in
      entry.value.withUnsafeBytes { value in
        if entry.kind == .rangeDeletion {
          deleteRange(from: key, to: value, sequence: sequence)
        } else {
          insert(key: key, trailer: Trailer(sequence, entry.kind), value: value, &splice)
        }
      }
    }
  }
}
