/// The settings of a reconciliation. The two sides need not have the same.
public struct ReconcileOptions: Sendable, Hashable {
  /// Into how many parts a range that differs is cut.
  public var fanOut = 16
  /// The same for ranges of fewer keys than ``narrowBelow``: near the end a smaller step costs a frame more and sends less.
  public var narrowFanOut = 8
  /// See ``narrowFanOut``.
  public var narrowBelow = 512
  /// Ranges of at most so many keys are told item by item.
  public var listedItems = 8
  /// A frame is closed before it grows beyond this, unless one range alone does; at most 65536, which no frame exceeds.
  public var frameBytes = 65536
  /// In how many frames one is answered; what does not fit becomes one last range with a fingerprint.
  public var replyFrames = 16
  /// How many requests may be unanswered at once.
  public var framesInFlight = 16
  /// Where one side has no keys, more than so many of the other's are told as a range instead of one by one.
  public var listedMissing = 1024

  /// What suits replicas of up to hundreds of millions of keys.
  public init() {}

  /// The settings with every value in the range in which the protocol makes progress.
  var bounded: ReconcileOptions {
    var options = self
    options.fanOut = min(max(2, fanOut), 4096)
    options.narrowFanOut = min(max(2, narrowFanOut), 4096)
    options.listedItems = min(max(1, listedItems), 1024)
    options.frameBytes = min(max(64, frameBytes), ReconcileFrame.bytesMax)
    options.replyFrames = max(1, replyFrames)
    options.framesInFlight = max(1, framesInFlight)
    options.listedMissing = max(0, listedMissing)
    return options
  }

  /// Into how many parts a range of `count` keys is cut.
  func parts(of count: Int) -> Int { count < narrowBelow ? narrowFanOut : fanOut }
}
