// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

func product(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package)
}
let argumentParser = product("ArgumentParser", "swift-argument-parser")
let asyncHTTPClient = product("AsyncHTTPClient", "async-http-client")
let crypto = product("Crypto", "swift-crypto")
let grdb = product("GRDB", "GRDB.swift")
let hummingbird = product("Hummingbird", "hummingbird")
let httpTypes = product("HTTPTypes", "swift-http-types")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let logging = product("Logging", "swift-log")
let nio = product("NIOCore", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioSSL = product("NIOSSL", "swift-nio-ssl")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func system(_ name: String, _ pkgConfig: String, apt package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

// Layer by layer, as ARCHITECTURE.md draws them: a target imports downwards only.
let package = Package(
    name: "kiln",
    products: [.executable(name: "kiln", targets: ["kiln"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1",
            traits: ["FullFoundation"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        system("CLZMA", "liblzma", apt: "liblzma-dev"),
        system("CZstd", "libzstd", apt: "libzstd-dev"),
        system("CLibdeflate", "libdeflate", apt: "libdeflate-dev"),
        .target(name: "CDeflate", cSettings: [.unsafeFlags(["-O2"])]),
        .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),

        library("Model"),

        library("SpecFile", ["Model", product("Yams", "Yams")]),
        library("Planning", ["Model"]),
        library("ImageFormat", ["Model", "CDeflate", "CLZMA", "CZstd", "CLibdeflate", crypto]),
        library("Trust", ["Model", crypto]),
        library("Ports", ["Model"]),
        library("WireAPI", ["Model"]),

        library("Baking", ["Model", "ImageFormat", "Ports", asyncHTTPClient, nio, nioHTTP1]),
        library("Execution", ["Model", "Planning", "Trust", "Ports", logging]),
        library("HostPlatform", ["Model", "Ports", "CLinux", logging]),
        library("Storage", ["Model", "Ports", "Trust", grdb]),
        library("GateClient", ["Model", "Ports", asyncHTTPClient, nio, nioHTTP1, nioPosix]),
        library(
            "RegistryClient",
            ["Model", "ImageFormat", "Ports", asyncHTTPClient, nio, nioHTTP1, nioPosix, nioSSL]),

        library(
            "WebServer",
            ["Model", "WireAPI", "Execution", "Ports", hummingbird, httpTypes, logging, nio]),
        library(
            "CommandLineTool",
            [
                "Model", "WireAPI", "SpecFile", "ImageFormat", "Baking", "RegistryClient", "Ports",
                argumentParser,
            ]),

        .executableTarget(
            name: "kiln",
            dependencies: [
                "Model", "Ports", "Trust", "SpecFile", "Baking", "Execution", "HostPlatform", "Storage",
                "GateClient", "WebServer", "CommandLineTool", lifecycle, logging,
                product("UnixSignals", "swift-service-lifecycle"),
            ], swiftSettings: settings),

        .target(
            name: "TestKit", dependencies: ["Model", "Ports"], path: "Tests/TestKit", swiftSettings: settings),
        .target(
            name: "Simulation", dependencies: ["Model", "Planning", "Execution", "TestKit"],
            path: "Tests/Simulation", exclude: ["Command"], swiftSettings: settings),
        .executableTarget(
            name: "simulate", dependencies: ["Simulation"], path: "Tests/Simulation/Command",
            swiftSettings: settings),
        tests("SimulationTests", ["Model", "Planning", "TestKit", "Simulation"]),
        .executableTarget(
            name: "testserver", path: "Tests/TestServer", cSettings: [.define("_GNU_SOURCE")],
            // Its images have a C library and nothing of Swift.
            linkerSettings: [.linkedLibrary("pthread"), .unsafeFlags(["-static-executable"])]),
        tests("ModelTests", ["Model", "TestKit"]),
        tests("SpecFileTests", ["Model", "SpecFile"]),
        tests("PlanningTests", ["Model", "Ports", "Planning", "TestKit"]),
        tests("ImageFormatTests", ["Model", "ImageFormat", crypto]),
        tests("BakingTests", ["Model", "Ports", "ImageFormat", "Baking", "TestKit"]),
        tests("HostPlatformTests", ["Model", "Ports", "HostPlatform", "CLinux", logging]),
        tests("StorageTests", ["Model", "Ports", "Storage"]),
        tests("ExecutionTests", ["Model", "Ports", "Planning", "Execution", "Storage", logging]),
        tests("WireAPITests", ["Model", "WireAPI"]),
        tests("CommandLineToolTests", ["Model", "WireAPI", "CommandLineTool"]),
        tests("GateClientTests", ["Model", "Ports", "GateClient", nio, nioHTTP1, nioPosix]),
        tests(
            "RegistryClientTests",
            [
                "Model", "Ports", "ImageFormat", "RegistryClient", "Baking", "Storage", "TestKit", nio,
                nioHTTP1, nioPosix,
            ]),
        tests(
            "Integration",
            [
                "Model", "WireAPI", "Ports", "Baking", "Execution", "HostPlatform", "Storage", "testserver",
                logging,
            ]),
        .executableTarget(
            name: "PlanBenchmark", dependencies: ["Model", "Planning"], path: "Benchmarks/Plan",
            swiftSettings: settings),
    ]
)
