// A command of the group's log takes effect at every member, or none of them may go on: it waits for room as long as waiting helps.
extension CommandContext {
  /// How often one command may find no room after the engine has said that there is: more than that it will never have.
  static let maxAttempts = 64
  /// What is asked for at first, doubled with each attempt up to the largest write one command can be.
  private static let firstRoom = 1 << 20
  private static let mostRoom = 64 << 20

  /// What became of a command that may not wait.
  enum Attempt {
    /// It is done, and the reply written. The text says why the store no longer is what the log says, if so.
    case done(failure: String?)
    /// It would have to wait, for the disk or for room. Nothing has happened.
    case mustWait
  }

  /// Carries out one command, unless it has to wait, and writes its reply.
  mutating func tryOut(_ rule: CommandTable.Rule, _ call: Invocation) -> Attempt {
    if rule.flags.contains(.slow) || call.count > ClientHandler.maxInlineArguments { return .mustWait }
    do throws(CommandError) { try run(rule.id, call) } catch {
      switch error {
      case .notCached, .noRoom: return .mustWait
      case .engine(let failure) where failure.kind != .refused:
        reply.error(error.text)
        return .done(failure: "\(failure)")
      case .failed, .engine: reply.error(error.text)
      }
    }
    return .done(failure: nil)
  }

  /// Carries out one command and writes its reply, an error's text where it is refused.
  ///
  /// - Returns: why the store no longer is what the log says, if so: a write of the log that could not be made.
  mutating func carryOut(_ rule: CommandTable.Rule, _ call: Invocation) -> String? {
    var room = Self.firstRoom
    for _ in 0..<Self.maxAttempts {
      do throws(CommandError) {
        try run(rule.id, call)
        return nil
      } catch {
        switch error {
        case .noRoom:
          do throws(EngineError) { try keyspace.waitForRoom(room) } catch {
            reply.error(CommandError.engine(error).text)
            return "\(error)"
          }
          room = min(room * 2, Self.mostRoom)
          continue
        case .engine(let failure) where failure.kind != .refused:
          reply.error(error.text)
          return "\(failure)"
        case .notCached, .failed, .engine:
          reply.error(error.text)
          return nil
        }
      }
    }
    reply.error(CommandError.noRoom.text)
    return "'\(call.text(0))' found no room in the store although \(Self.maxAttempts) times there was to be some; restart this member, and if "
      + "that does not help, give it an empty directory and --lost-disk"
  }
}
