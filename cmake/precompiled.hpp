#pragma once
// What most files include, parsed once for a whole build (STELE_PRECOMPILE). Headers of others only: one of
// ours would compile everything again with every change. The gcc12 preset does without, so that it sees a
// forgotten include.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
