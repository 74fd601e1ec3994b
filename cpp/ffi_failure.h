// ffi_failure.h: the status of a matrix becomes an error of the running program.
#pragma once

#include "ffi.h"

namespace elimax {

// The error of the first failing element, if there is one: the sentence that the user reads, with {column}
// and {entry} filled in. An empty sentence means that failure is reported by status alone.
template <class StatusOf, class SentenceOf>
ffi::Error first_failure(Offset batch, const StatusOf& status_of, const SentenceOf& sentence_of) {
  for (Offset i = 0; i < batch; ++i) {
    const Status status = status_of(i);
    std::string text(status.code == 0 ? "" : sentence_of(status));
    if (text.empty()) continue;
    const auto fill = [&](std::string_view name, Index value) {
      if (const auto at = text.find(name); at != std::string::npos)
        text.replace(at, name.size(), std::to_string(value));
    };
    fill("{column}", status.code > 0 ? status.code - 1 : status.detail);
    fill("{entry}", status.detail);
    if (batch > 1) text += " (batch element " + std::to_string(i) + ")";
    return ffi::Error(ffi::ErrorCode::kInvalidArgument, std::move(text));
  }
  return ffi::Error::Success();
}

}  // namespace elimax
