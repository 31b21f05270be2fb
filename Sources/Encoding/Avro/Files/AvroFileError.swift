import StrataCompression
import StrataDisk
import SystemPackage

/// Why a container file cannot be read or written. Blocks before the place named remain readable.
public enum AvroFileError: Error, Sendable {
  /// The file does not begin with `Obj` and 1.
  case notAContainer(FilePath)
  /// The header is damaged, or has no schema.
  case damagedHeader(FilePath, reason: String)
  /// The schema in the header is none.
  case schema(FilePath, AvroSchemaError)
  /// The data were written by a schema that does not fit the reader's.
  case irreconcilable(FilePath, AvroResolutionError)
  /// A codec that is not known here.
  case unknownCodec(FilePath, String)
  /// A codec that is read and not written.
  case unwritableCodec(String)
  /// The marker behind the block at this offset is not the file's: damage in the block's head or behind it.
  case syncMismatch(FilePath, offset: UInt64)
  /// The block's checksum is not that of its data.
  case checksumMismatch(FilePath, offset: UInt64)
  /// The block's data are not its codec's, or not as many items as it says.
  case damagedBlock(FilePath, offset: UInt64, reason: String)
  /// A block longer than the limit.
  case blockTooLarge(FilePath, offset: UInt64, bytes: Int64, limit: Int)
  /// The file ends inside the block that begins here, or lacks blocks that its sidecar names.
  case shortTail(FilePath, offset: UInt64)
  /// A datum of the block is damaged.
  case datum(FilePath, block: UInt64, AvroDecodeError)
  /// A value is none of the schema.
  case value(AvroEncodeError)
  /// To append, the schemas must be equal.
  case otherSchema(FilePath)
  /// The codec refused.
  case compression(CompressionError)
  /// The file system refused.
  case disk(DiskError)
  /// The writer has been closed or has failed before.
  case closed(FilePath)
}

extension AvroFileError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notAContainer(let path): "\(path): not an Avro container file"
    case .damagedHeader(let path, let reason): "\(path): the header is damaged: \(reason)"
    case .schema(let path, let error): "\(path): \(error)"
    case .irreconcilable(let path, let error): "\(path): \(error)"
    case .unknownCodec(let path, let codec): "\(path): codec \(codec) is not known here"
    case .unwritableCodec(let codec): "codec \(codec) is read and not written; use null, deflate, snappy or zstandard"
    case .syncMismatch(let path, let offset):
      "\(path): the block at \(offset) does not end in the file's marker; damaged, later blocks can be salvaged"
    case .checksumMismatch(let path, let offset): "\(path): the block at \(offset) does not match its checksum; damaged"
    case .damagedBlock(let path, let offset, let reason): "\(path): the block at \(offset) is damaged: \(reason)"
    case .blockTooLarge(let path, let offset, let bytes, let limit):
      "\(path): the block at \(offset) has \(bytes) bytes, more than the limit of \(limit); damaged, or raise the limit"
    case .shortTail(let path, let offset): "\(path): the file ends inside the block at \(offset); a writer was cut off"
    case .datum(let path, let block, let error): "\(path): the block at \(block), \(error)"
    case .value(let error): error.description
    case .otherSchema(let path): "\(path): the file has another schema; append with its own"
    case .compression(let error): error.description
    case .disk(let error): "\(error)"
    case .closed(let path): "\(path): the writer is closed"
    }
  }
}
