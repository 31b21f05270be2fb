import NIOCore

/// What the connections of one event loop want of the group, taken together: the batches of one turn of the loop become one command of the log, and
/// one word of the group's answers for all reads that wait for it. While enough of either is on its way, what comes is held back for a moment, so
/// that under load the pieces grow instead of their number.
// Used on its event loop only; what the group answers comes back there.
final class GroupDesk: @unchecked Sendable {
  typealias Answer = Result<[UInt8], ReplicationFailure>

  private struct Write {
    var command: [UInt8]
    var completion: (Answer) -> Void
  }

  /// Beyond so many pieces on their way, what comes waits for one of them, or for ``patience``.
  private static let maxOpen = 2
  private static let patience = TimeAmount.milliseconds(1)

  private let replication: Replication
  private let loop: any EventLoop
  private var writes: [Write] = []
  private var writeBytes = 0
  private var openWrites = 0
  private var reads: [(ReplicationFailure?) -> Void] = []
  private var openReads = 0
  private var isDue = false
  private var isPatient = false

  init(_ replication: Replication, on loop: any EventLoop) {
    self.replication = replication
    self.loop = loop
  }

  /// Whether reads may run on the store now, without a word of the group.
  var isReadable: Bool { replication.isReadable }

  /// Puts a batch into the group's log; see ``Replication/write(_:_:)``. `completion` is called on the loop.
  func write(_ command: [UInt8], _ completion: @escaping (Answer) -> Void) {
    if writeBytes + command.count > CommandGroup.fullBytes { sendWrites() }
    writes.append(Write(command: command, completion: completion))
    writeBytes += command.count
    schedule()
  }

  /// Calls back on the loop when the store is recent enough for a read that came before this call; see ``Replication/confirm(_:)``.
  func confirm(_ completion: @escaping (ReplicationFailure?) -> Void) {
    reads.append(completion)
    schedule()
  }

  /// What else this turn of the loop brings comes along.
  private func schedule() {
    guard !isDue else { return }
    isDue = true
    loop.execute {
      self.isDue = false
      if self.openWrites < Self.maxOpen { self.sendWrites() }
      if self.openReads < Self.maxOpen { self.askForReads() }
      self.bePatient()
    }
  }

  private func bePatient() {
    guard !isPatient, !writes.isEmpty || !reads.isEmpty else { return }
    isPatient = true
    loop.scheduleTask(in: Self.patience) {
      self.isPatient = false
      self.sendWrites()
      self.askForReads()
    }
  }

  private func sendWrites() {
    guard !writes.isEmpty else { return }
    var sent: [Write] = []
    swap(&sent, &writes)
    writeBytes = 0
    openWrites += 1
    let group = sent
    let bound = NIOLoopBound(group, eventLoop: loop)
    replication.write(CommandGroup.command(sent.map(\.command))) { result in
      self.onLoop { self.written(bound.value, result) }
    }
  }

  /// At once where the member has its turns on this loop, whose thread then has the answer.
  private func onLoop(_ body: @escaping @Sendable () -> Void) {
    if loop.inEventLoop { body() } else { loop.execute(body) }
  }

  private func written(_ group: [Write], _ result: Answer) {
    openWrites -= 1
    // What has waited goes first, so that it does not wait for the clients that are answered now.
    if openWrites < Self.maxOpen { sendWrites() }
    switch result {
    case .success(let bytes):
      let answers = CommandGroup.answers(bytes, group.count)
      for (index, write) in group.enumerated() {
        write.completion(answers.map { .success($0[index]) } ?? .failure(.unknown("the group's answer makes no sense")))
      }
    case .failure: for write in group { write.completion(result) }
    }
  }

  private func askForReads() {
    guard !reads.isEmpty else { return }
    var asked: [(ReplicationFailure?) -> Void] = []
    swap(&asked, &reads)
    openReads += 1
    let bound = NIOLoopBound(asked, eventLoop: loop)
    replication.confirm { failure in
      self.onLoop {
        self.openReads -= 1
        if self.openReads < Self.maxOpen { self.askForReads() }
        for completion in bound.value { completion(failure) }
      }
    }
  }
}
