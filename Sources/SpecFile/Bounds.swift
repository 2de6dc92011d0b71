import Model

/// How large a spec and each value in it may be.
enum Bounds {
    static let documentBytes = 1 << 20
    /// Lists, mappings and values in a document, each alias counted as what it stands for.
    static let nodes = 20_000
    static let nesting = 16
    /// Aliases multiply what they stand for; so few of them cannot make much of a document of this size.
    static let aliases = 8
    /// Rounds of reading a document again to get past keys that are given twice.
    static let duplicateRounds = 20
    /// Bytes that those rounds may read in all: a large document gets fewer.
    static let bytesReadAgain = 2 << 20
    static let problemsShown = 100

    static let textBytes = 32 << 10
    static let pathBytes = 1024
    static let variableNameBytes = 128
    static let variables = 500
    static let words = 256
    static let packages = 1000
    static let files = 1000
    static let allowedPaths = 100
    static let builds = 32
    static let secrets = 8
    static let stepNameBytes = 40
    static let buildTimeout = Span.seconds(1)...Span.seconds(86_400)
    static let buildMemory = ByteCount(bytes: 64 << 20)...ByteCount(bytes: 1 << 40)
    static let buildDisk = ByteCount(bytes: 1 << 20)...ByteCount(bytes: 1 << 40)
    static let sources = 32
    /// Files that one file includes, all that a spec brings in, and files within files.
    static let includes = 32
    static let includedFiles = 64
    static let includeDepth = 8
    /// Folders taken away from the front of each path of an archive.
    static let strip = 0...32
    static let sourceWords = 16
    static let scratchMounts = 32

    static let replicas = 1...1000
    static let driftExceptions = 32
    static let windows = 64
    static let instanceAge = Span.seconds(60)...Span.longest
    static let port = 1...65_535
    static let probesInARow = 1...100
    static let pids = 1...65_536
    static let keepStandby = 0...3
    static let milliCPU = 10...1_024_000
    static let memory = ByteCount(bytes: 4 << 20)...ByteCount(bytes: 1 << 40)
    static let scratch = ByteCount(bytes: 4 << 10)...ByteCount(bytes: 64 << 30)
    static let probeInterval = Span(milliseconds: 50)...Span.seconds(3600)
    static let probeTimeout = Span(milliseconds: 10)...Span.seconds(300)
    static let stopGrace = Span.zero...Span.seconds(3600)
    static let drain = Span.zero...Span.seconds(3600)
    static let watch = Span.zero...Span.seconds(86_400)
    static let deadline = Span.seconds(1)...Span.seconds(86_400)
    static let minReady = Span.zero...Span.seconds(3600)

    static let steps = 100
    static let weight = 0...100
    /// A rollout may wait a week for a person, and no longer.
    static let pause = Span.seconds(1)...Span.seconds(7 * 86_400)
    static let analyze = Span.seconds(10)...Span.seconds(86_400)
    static let gates = 20
    static let gateNameBytes = 40
    static let gateTimeout = Span.seconds(1)...Span.seconds(7 * 86_400)
    static let gateHealth = Span.seconds(1)...Span.seconds(86_400)
    static let gateBodyBytes = 1024
    static let httpStatus = 100...599
    static let headerNameBytes = 100
    static let headerValueBytes = 256

    static let queries = 10
    static let queryBytes = 4096
    /// Thousandths: a threshold beyond a billion is not meant.
    static let threshold = -1_000_000_000_000...1_000_000_000_000
    /// Hundredths of a per cent. More than half of all rollouts stopped in error would be no trial.
    static let falseAlarms = 1...5000
    static let errorTolerance = 0...10_000
    static let slowdownTolerance = 0...1000
    static let minRequests = 1...1_000_000
    static let probeRate = 1...1000
    static let rollbackWindow = 0...20

    static let percent = 0...100
    static let requestsPerSecond = 1...1_000_000
    static let concurrency = 1...100_000

    static let predicates = 20
    static let keys = 100
    static let keyNameBytes = 64
    static let origins = 100
    static let originBytes = 1024
    static let imageAge = Span.seconds(60)...Span.longest
    static let feedAge = Span.seconds(60)...Span.longest
    static let exceptions = 1000
    static let faultNameBytes = 128
    static let reasonBytes = 1024
    static let operators = 100
    static let allowances = 32
}
