import StrataJobs

/// What a workload has begun and what it was promised, in order, each note placed in the log of disk operations.
///
/// Note an intention before the engine is called and an acknowledgement after it returned:
/// ```swift
/// ledger.note(.began(17)); try store.put(...); ledger.note(.acknowledged(17))
/// ```
/// When a crash at some operation is examined, the recovery sees exactly the notes made before it. Safe from any thread.
public final class Ledger<Note: Hashable & Sendable>: Sendable {
  struct Entry: Sendable {
    var note: Note
    /// Length of the disk log when the note was made.
    var position: Int
  }

  private let made: Monitor<[Entry]> = Monitor([])
  private let earlier: [Note]
  private let recorder: RecordingFileSystem

  init(after earlier: [Note], recorder: RecordingFileSystem) {
    self.earlier = earlier
    self.recorder = recorder
  }

  /// Adds a note after every disk operation that has returned so far.
  public func note(_ note: Note) {
    made.withLock { $0.append(Entry(note: note, position: recorder.eventCount)) }
  }

  /// Every note, those from before the crash first.
  public var entries: [Note] { earlier + made.withLock { $0.map(\.note) } }

  /// The notes of this run alone, with their places.
  var own: [Entry] { made.withLock { $0 } }
}
