"""The only place that sleeps, starts threads or touches asyncio."""
